"""Leases of real workers: what is taken away, and how soon it runs again."""

import signal
import time
from pathlib import Path

import pytest

from spigot.jobs.store import keys
from spigot.worker.idle.reaping import REAP_SECONDS, REAPED_MS
from spigot.worker.idle.wake_up_tokens import LATE_SECONDS, STEP_SECONDS
from spigot.worker.leases.lease_terms import LEAST_OUTAGE_MS
from tests.support.consistency import problems, status_of, wait_for_lines
from tests.support.processes import is_alive, wait_for

LEASE = 1.0


@pytest.fixture
def running(redis, job_queue, start_worker, tmp_path):
    """A worker whose job runs for ever at its first attempt; its id, its worker, its token."""
    job = job_queue.enqueue("hold_once", {"folder": str(tmp_path)})
    worker = start_worker(lease_seconds=LEASE)
    wait_for((tmp_path / "1.started").exists)
    return job.id, worker, redis.hget(keys.job(job.id), "spigot_token").decode()


def time_of(mark: Path) -> float:
    wait_for(mark.exists, 60)
    return float(mark.read_text().split()[0])


def take_away(redis, token: str) -> None:
    redis.delete(keys.lease(token))
    redis.zrem(keys.leases("default"), token)


def test_a_renewal_that_finds_its_lease_gone_kills_the_work_horse(redis, running, tmp_path):
    job_id, worker, token = running
    (horse,) = worker.horses
    take_away(redis, token)
    before = redis.hgetall(keys.job(job_id))

    wait_for(lambda: not is_alive(horse))
    wait_for(lambda: f"job {job_id}: attempt {token} is not ours any more" in worker.log)

    assert f"attempt {token} is stopped: its lease was given to another worker" in worker.log
    assert redis.hgetall(keys.job(job_id)) == before
    assert not (tmp_path / "results.jsonl").exists()
    assert worker.exit_code() is None


@pytest.mark.slow
def test_completion_without_a_lease_changes_nothing_and_is_logged(
    redis, job_queue, start_worker, tmp_path
):
    """The worker stands still for longer than its lease, while its function returns."""
    job = job_queue.enqueue("trace", {"folder": str(tmp_path), "seconds": 0.2})
    late = start_worker(lease_seconds=LEASE)
    wait_for((tmp_path / "1.started").exists)
    late.send(signal.SIGSTOP)
    start_worker(lease_seconds=LEASE)
    wait_for(lambda: status_of(redis, job.id) == "finished", 60)
    before = redis.hgetall(keys.job(job.id))
    late.send(signal.SIGCONT)
    wait_for(lambda: "is not ours any more" in late.log)

    assert redis.hgetall(keys.job(job.id)) == before
    lines = wait_for_lines(tmp_path / "results.jsonl", 2)
    assert [(line["status"], line["attempt"]) for line in lines] == [("reaped", 1), ("finished", 2)]
    assert redis.xlen(keys.results(job.id)) == 1
    assert not list(problems(redis, "default", [job.id]))


@pytest.mark.slow
@pytest.mark.alone
def test_a_job_runs_again_soon_though_all_who_watched_died_too(
    redis, job_queue, start_worker, tmp_path
):
    """As when a machine is lost: those that are left sleep, and nobody wakes them."""
    workers = {worker.pid: worker for worker in [start_worker(lease_seconds=5) for _ in range(5)]}
    wait_for(lambda: redis.zcard(keys.workers("default")) == 5)
    job = job_queue.enqueue("hold_once", {"folder": str(tmp_path)})
    wait_for((tmp_path / "1.started").exists)
    wait_for(lambda: redis.zcard(keys.pollers("default")) == 2)
    names = [
        redis.hget(keys.job(job.id), "worker_name"),
        *redis.zrange(keys.pollers("default"), 0, -1),
    ]
    killed_at = time.time()
    for name in names:
        workers[int(redis.hget(b"rq:worker:" + name, "pid"))].send(signal.SIGKILL)

    # on a quiet machine 6 s; if the others slept on, half a minute
    assert time_of(tmp_path / "2.started") - killed_at < 20


def test_one_that_polls_alone_is_in_contact_before_its_pause_counts_as_an_outage():
    """Or the lease of a worker that died would be extended, which doubles the time lost."""
    step = STEP_SECONDS + LATE_SECONDS
    steps = -(-REAP_SECONDS // STEP_SECONDS)

    assert REAPED_MS / 1000 + steps * step < LEAST_OUTAGE_MS / 1000
