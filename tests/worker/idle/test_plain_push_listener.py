import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from redis import Redis
from rq import Queue

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from spigot.runtime.server.redis_connection import connect
from spigot.worker.idle import plain_push_listener as push_watch
from spigot.worker.idle.plain_push_listener import PushWatch
from tests.support.processes import wait_for
from tests.support.servers import own_server

ROOT = Path(__file__).parents[3]


@pytest.fixture
def bucket(redis):
    """A bucket of nobody else: a look may outlive its test."""
    name = f"pushed_{uuid4().hex}"
    BucketPublisher(redis).publish({name: BucketConfig()})
    redis.delete(keys.bell(name))
    return name


@pytest.fixture
def bell(bucket):
    return keys.bell(bucket)


@pytest.fixture
def watch(bucket, redis_url):
    watch = PushWatch(connect(redis_url, timeout=10, client_name=bucket), bucket, [bucket])
    watch.start()
    yield watch
    watch.rest()


@pytest.fixture
def queue(bucket, redis):
    return Queue(bucket, connection=redis, serializer="json")


def is_looking(redis: Redis, name: str) -> bool:
    """Return whether the watch whose connection has that name waits for a push just now."""
    return any(
        client["name"] == name and client["cmd"] == "blmove" and "b" in client["flags"]
        for client in redis.client_list()
    )


def wait_until_it_looks(redis: Redis, name: str) -> None:
    wait_for(lambda: is_looking(redis, name))


def test_a_push_rings_the_bell_and_moves_nothing(watch, bucket, queue, bell, redis):
    watch.watch()
    wait_until_it_looks(redis, bucket)
    with redis.pipeline() as pipeline:
        jobs = [queue.enqueue("f.g", pipeline=pipeline).id for _ in range(3)]
        pipeline.execute()

    assert redis.blpop([bell], timeout=20)
    assert queue.job_ids == jobs


def test_every_push_rings(watch, queue, bell, redis):
    watch.watch()
    for _ in range(3):
        queue.enqueue("f.g")
        assert redis.blpop([bell], timeout=20)
        redis.delete(queue.key)  # as a worker that took the job
        redis.delete(bell)


def test_a_job_that_waits_already_rings(watch, queue, bell, redis):
    queue.enqueue("f.g")

    watch.watch()

    assert redis.blpop([bell], timeout=20)


def test_nothing_is_watched_unless_it_is_wanted(watch, bucket, queue, bell, redis):
    queue.enqueue("f.g")

    assert redis.blpop([bell], timeout=0.3) is None
    assert not is_looking(redis, bucket)


def test_a_look_that_is_not_wanted_any_more_rings_no_bell(watch, bucket, queue, bell, redis):
    watch.watch()
    wait_until_it_looks(redis, bucket)
    watch.rest()
    queue.enqueue("f.g")
    wait_for(lambda: not is_looking(redis, bucket))

    assert redis.blpop([bell], timeout=0.3) is None


def test_a_job_that_was_taken_meanwhile_rings_no_bell(watch, bucket, queue, bell, redis):
    watch.watch()
    wait_until_it_looks(redis, bucket)
    with redis.pipeline() as pipeline:  # taken before the watch can do anything
        pipeline.rpush(queue.key, "a").lpop(queue.key).execute()

    assert redis.blpop([bell], timeout=0.3) is None


def test_a_backlog_that_nobody_takes_is_rung_for_once_and_looked_at_less_and_less(
    bucket, queue, bell, redis
):
    watch = PushWatch(redis, bucket, [bucket])
    queue.enqueue("f.g")
    watch.watch()

    pauses = [watch._look()]
    assert redis.delete(bell) == 1
    pauses += [watch._look() for _ in range(8)]

    assert redis.exists(bell) == 0
    assert pauses == [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0, 1.0]


def test_another_job_is_rung_for_at_once_again(bucket, queue, bell, redis):
    watch = PushWatch(redis, bucket, [bucket])
    queue.enqueue("f.g")
    watch.watch()
    pauses = [watch._look(), watch._look()]
    redis.delete(queue.key, bell)
    queue.enqueue("f.g")

    pauses.append(watch._look())

    assert pauses == [0.01, 0.02, 0.01]
    assert redis.exists(bell) == 1


def test_a_job_that_spigot_enqueued_is_not_rung_for_again(bucket, queue, bell, redis):
    watch = PushWatch(redis, bucket, [bucket])
    job = queue.enqueue("f.g")
    redis.hset(job.key, "spigot_enqueued_us", 1)
    watch.watch()

    watch._look()

    assert redis.exists(bell) == 0


def test_what_is_no_list_is_left_alone_for_a_while(bucket, queue, redis, caplog):
    redis.set(queue.key, "no list")

    assert PushWatch(redis, bucket, [bucket])._look() == push_watch.REFUSED_SECONDS

    assert "only polled" in caplog.text
    assert redis.get(queue.key) == b"no list"


def test_a_server_that_is_away_is_asked_again(monkeypatch):
    monkeypatch.setattr(push_watch, "AWAY_SECONDS", 0.01)
    with own_server(durable=True) as server:
        watch = PushWatch(
            connect(server.url, timeout=10, client_name="pushed"), "pushed", ["pushed"]
        )
        with connect(server.url, timeout=10) as redis:
            watch.start()
            watch.watch()
            wait_until_it_looks(redis, "pushed")
        server.kill()
        server.start()

        with connect(server.url, timeout=10) as redis:
            wait_until_it_looks(redis, "pushed")
            redis.rpush(keys.queue("pushed"), "a")
            assert redis.blpop([keys.bell("pushed")], timeout=20)
        watch.rest()


def test_a_queue_that_the_worker_does_not_serve_is_not_watched(
    bucket, queue, bell, redis, redis_url
):
    watch = PushWatch(
        connect(redis_url, timeout=10, client_name="pushed"), bucket, [f"{bucket}-high"]
    )
    watch.start()
    queue.enqueue("f.g")

    watch.watch()

    assert redis.blpop([bell], timeout=0.3) is None


SCRIPT = """
import sys
from spigot.runtime.server.redis_connection import connect
from spigot.worker.idle.plain_push_listener import PushWatch
watch = PushWatch(connect(sys.argv[1], timeout=10, client_name="pushed"), "pushed", ["pushed"])
watch.start()
watch.watch()
sys.stdin.read()
"""


def test_no_process_is_kept_from_ending(redis, redis_url):
    command = [sys.executable, "-c", SCRIPT, redis_url]
    with subprocess.Popen(command, stdin=subprocess.PIPE, cwd=ROOT) as process:
        wait_until_it_looks(redis, "pushed")
        process.stdin.close()

        assert process.wait(60) == 0
