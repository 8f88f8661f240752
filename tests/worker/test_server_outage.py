"""What a worker does while its server is away."""

import time

import pytest
from redis import Redis

from tests.support.consistency import problems, read_lines, status_of, wait_for_lines
from tests.support.processes import wait_for

LEASE = 1.5

KINDS = [
    pytest.param({}, id="forking"),
    pytest.param({"concurrency": 4}, id="pool", marks=pytest.mark.slow),
]


@pytest.fixture
def redis(server):
    """The server is the test's own: it may do to it what it likes."""
    with Redis.from_url(server.url) as connection:
        yield connection


@pytest.fixture
def redis_url(server):
    return server.url


def is_finished(redis: Redis, job_id: str) -> bool:
    return status_of(redis, job_id) == "finished"


def said_once(log: str) -> bool:
    return (log.count("server is away"), log.count("server is back")) == (1, 1)


def said_once_or_never(log: str) -> bool:
    return log.count("server is away") == log.count("server is back") <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_finishes_while_the_server_is_killed_and_restarted(
    kind, server, redis, job_queue, start_worker, tmp_path
):
    job = job_queue.enqueue("trace", {"folder": str(tmp_path), "seconds": 1})
    worker = start_worker(lease_seconds=3, **kind)
    wait_for((tmp_path / "1.started").exists)
    server.kill()
    wait_for((tmp_path / "1.ended").exists)
    time.sleep(0.5)
    server.start()
    wait_for(lambda: is_finished(redis, job.id), seconds=2)
    again = job_queue.enqueue("echo", {"value": 1})
    wait_for(lambda: is_finished(redis, again.id), seconds=2)

    assert worker.exit_code() is None
    assert said_once(worker.log)
    lines = wait_for_lines(tmp_path / "results.jsonl", 2)
    assert [line["status"] for line in lines] == ["finished", "finished"]
    assert not list(problems(redis, "default", [job.id, again.id]))


@pytest.mark.slow
def test_a_job_outlives_a_server_that_hangs_for_less_than_its_lease(
    server, redis, job_queue, start_worker, tmp_path
):
    job = job_queue.enqueue("trace", {"folder": str(tmp_path), "seconds": 2})
    start_worker(lease_seconds=LEASE)
    start_worker(lease_seconds=LEASE)
    wait_for((tmp_path / "1.started").exists)
    server.hang()
    time.sleep(LEASE - 0.5)
    server.go_on()
    wait_for(lambda: is_finished(redis, job.id))

    lines = wait_for_lines(tmp_path / "results.jsonl", 1)
    assert [line["status"] for line in lines] == ["finished"]
    assert not (tmp_path / "2.started").exists()


@pytest.mark.slow
def test_what_ended_during_a_hang_longer_than_its_lease_is_not_run_again(
    server, redis, job_queue, start_worker, tmp_path
):
    job = job_queue.enqueue("trace", {"folder": str(tmp_path), "seconds": 0.5})
    lease = 3  # time enough for a busy machine to come back after it
    workers = [start_worker(lease_seconds=lease) for _ in range(2)]
    wait_for((tmp_path / "1.started").exists)
    server.hang()
    time.sleep(lease + 1.5)  # longer than any worker waits for an answer
    server.go_on()
    wait_for(lambda: is_finished(redis, job.id))

    lines = wait_for_lines(tmp_path / "results.jsonl", 1)
    assert [line["status"] for line in lines] == ["finished"]
    assert not (tmp_path / "2.started").exists()
    wait_for(lambda: all(said_once_or_never(worker.log) for worker in workers))
    wait_for(lambda: any(said_once(worker.log) for worker in workers))


def test_an_attempt_that_cannot_be_renewed_is_stopped_within_its_lease(
    server, redis, job_queue, start_worker, tmp_path
):
    job = job_queue.enqueue("hold_once", {"folder": str(tmp_path)})
    worker = start_worker(lease_seconds=LEASE)
    wait_for((tmp_path / "1.started").exists)
    server.hang()
    wait_for(lambda: not worker.horses, seconds=LEASE + 1)
    server.go_on()
    wait_for((tmp_path / "2.started").exists, seconds=2)
    wait_for(lambda: is_finished(redis, job.id))

    lines = wait_for_lines(tmp_path / "results.jsonl", 2)
    assert [(line["status"], line["attempt"]) for line in lines] == [("reaped", 1), ("finished", 2)]
    assert lines[0]["error"] == "Lost: its lease could not be renewed in time"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("hurt", "heal", "lease", "ends"),
    [
        ("kill", "start", 15, {"finished"}),
        ("hang", "go_on", 15, {"finished"}),
        # they were stopped, as others might have had them, and run again
        ("hang", "go_on", 2 * LEASE, {"reaped", "finished"}),
    ],
    ids=["killed", "hangs", "hangs for longer than a lease"],
)
def test_all_jobs_of_a_pool_outlive_the_servers_absence(
    hurt, heal, lease, ends, server, redis, job_queue, start_worker, tmp_path
):
    types = ("wait_together", "wait_in_thread") * 4
    ids = [
        job_queue.enqueue(name, {"folder": str(tmp_path), "name": str(number)}).id
        for number, name in enumerate(types)
    ]
    worker = start_worker(concurrency=len(ids), lease_seconds=lease)
    wait_for(lambda: len(list(tmp_path.glob("*.here"))) == len(ids))
    getattr(server, hurt)()
    if ends == {"finished"}:  # they end while nobody can be told
        (tmp_path / "go").touch()
    wait_for(lambda: "server is away" in worker.log)
    time.sleep(2 * LEASE)
    getattr(server, heal)()
    wait_for(lambda: "server is back" in worker.log)
    (tmp_path / "go").touch()
    wait_for(lambda: all(is_finished(redis, job_id) for job_id in ids))

    assert worker.stop() == 0
    assert not list(problems(redis, "default", ids))
    lines = read_lines(tmp_path / "results.jsonl")
    assert {line["status"] for line in lines} == ends
    assert sorted(line["id"] for line in lines if line["status"] == "finished") == sorted(ids)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("hurt", ["hang", "kill"])
def test_a_worker_stops_in_time_without_its_server(
    hurt, kind, server, job_queue, start_worker, tmp_path
):
    job_queue.enqueue("hold_once", {"folder": str(tmp_path)})
    worker = start_worker(grace_seconds=1, **kind)
    wait_for((tmp_path / "1.started").exists)
    getattr(server, hurt)()
    stopped_at = time.monotonic()

    assert worker.stop() == 0
    assert time.monotonic() - stopped_at < 1 + 5  # a busy machine needs seconds


@pytest.mark.slow
@pytest.mark.parametrize("hurt", ["hang", "kill"])
def test_an_idle_worker_stops_at_once_without_its_server(hurt, server, redis, start_worker):
    worker = start_worker()
    wait_for(lambda: redis.exists("rq:workers"))
    getattr(server, hurt)()
    time.sleep(0.2)
    stopped_at = time.monotonic()

    assert worker.stop() == 0
    assert time.monotonic() - stopped_at < 6


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.parametrize(("hurt", "heal"), [("hang", "go_on"), ("kill", "start")])
def test_idle_workers_work_soon_after_the_servers_return(
    hurt, heal, server, redis, job_queue, start_worker
):
    workers = [start_worker() for _ in range(3)]  # two watch, one sleeps
    wait_for(lambda: redis.scard("rq:workers") == 3)
    getattr(server, hurt)()
    time.sleep(4)  # longer than any worker waits for an answer
    getattr(server, heal)()
    jobs = [job_queue.enqueue("echo", {"value": number}) for number in range(20)]
    wait_for(lambda: all(is_finished(redis, job.id) for job in jobs), seconds=2)

    assert all(worker.exit_code() is None for worker in workers)
    wait_for(lambda: all(said_once_or_never(worker.log) for worker in workers))


def test_a_worker_waits_for_a_server_that_is_not_there_yet(server, redis, job_queue, start_worker):
    job = job_queue.enqueue("echo", {"value": 1})
    server.kill()
    worker = start_worker()
    wait_for(lambda: "server is away" in worker.log)
    server.start()
    wait_for(lambda: is_finished(redis, job.id))

    assert said_once(worker.log)


def test_a_flushed_script_cache_is_filled_again(redis, job_queue, start_worker):
    worker = start_worker()
    for _ in range(3):
        job = job_queue.enqueue("echo", {"value": 1})
        wait_for(lambda job=job: is_finished(redis, job.id))
        redis.script_flush()

    assert "away" not in worker.log


def test_a_cut_connection_is_made_again(redis, job_queue, start_worker):
    worker = start_worker()
    for _ in range(3):
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        job = job_queue.enqueue("echo", {"value": 1})
        wait_for(lambda job=job: is_finished(redis, job.id), seconds=2)

    assert worker.exit_code() is None


def test_a_worker_serves_an_emptied_server(redis, job_queue, start_worker):
    worker = start_worker()
    wait_for(lambda: redis.exists("rq:workers"))
    redis.flushall()
    job = job_queue.enqueue("echo", {"value": 1})
    wait_for(lambda: is_finished(redis, job.id), seconds=3)

    wait_for(lambda: redis.exists("rq:workers"), seconds=4)

    (key,) = redis.smembers("rq:workers:default")
    assert 0 < redis.ttl(key) <= 60
    assert redis.hget(key, "pid") == str(worker.pid).encode()


def test_commands_are_heard_after_a_restart(server, redis, job_queue, start_worker, tmp_path):
    worker = start_worker()
    wait_for(lambda: redis.exists("rq:workers"))
    (key,) = redis.smembers("rq:workers")
    server.kill()
    server.start()
    channel = f"rq:pubsub:{key.decode().rpartition(':')[2]}"
    wait_for(lambda: redis.pubsub_numsub(channel)[0][1] == 1, seconds=5)
    redis.publish(channel, "no command at all")
    redis.publish(channel, '{"command": "shutdown"}')

    assert worker.wait(5) == 0
    assert "a command cannot be obeyed" in worker.log
