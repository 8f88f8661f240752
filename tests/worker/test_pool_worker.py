"""A worker that runs many jobs at once: in one process, and yet each on its own."""

import os
import signal
import time
from collections.abc import Callable

import pytest

from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.job.cancelling import JobCanceller
from spigot.jobs.job.state import JobReader, JobState
from tests.support.processes import wait_for

ENDED = {"finished", "failed", "cancelled"}

PATIENT_LEASE = 30
"""Seconds; a child that a busy machine lets stand still for a third of its lease is killed."""


@pytest.fixture
def read(redis) -> Callable[[str], JobState]:
    reader = JobReader(redis)
    return lambda job_id: reader.read(job_id)


@pytest.fixture
def enqueue(job_queue):
    return lambda type, **payload: job_queue.enqueue(type, payload).id


@pytest.fixture
def wait_together(enqueue, tmp_path):
    """Enqueue jobs that wait until ``go`` is there, half of them coroutines."""

    def enqueue_all(count: int) -> list[str]:
        kinds = ("wait_together", "wait_in_thread")
        return [
            enqueue(kinds[number % 2], folder=str(tmp_path), name=str(number))
            for number in range(count)
        ]

    return enqueue_all


def await_all(read, ids, seconds=30) -> list[JobState]:
    wait_for(lambda: all(read(job_id).status in ENDED for job_id in ids), seconds)
    return [read(job_id) for job_id in ids]


def await_here(folder, count) -> None:
    wait_for(lambda: len(list(folder.glob("*.here"))) >= count)


def test_jobs_of_both_kinds_run_at_once_and_none_sees_another(
    start_worker, wait_together, read, redis, tmp_path
):
    ids = wait_together(20)
    start_worker(concurrency=20, lease_seconds=PATIENT_LEASE)
    await_here(tmp_path, 20)
    seen = BucketReader(redis).read("default")
    assert (seen.running, seen.workers, seen.concurrency) == (20, 1, 20)
    wait_for(lambda: read(ids[0]).progress)

    (tmp_path / "go").touch()
    jobs = await_all(read, ids)
    assert {(job.status, job.result, job.attempts) for job in jobs} == {("finished", True, 1)}
    assert jobs[0].progress == {"done": 1, "total": 2, "note": ""}


def test_no_more_run_than_there_are_places(start_worker, wait_together, redis, read, tmp_path):
    ids = wait_together(5)
    start_worker(concurrency=3)
    await_here(tmp_path, 3)
    time.sleep(0.2)
    seen = BucketReader(redis).read("default")
    assert (seen.running, seen.waiting) == (3, 2)

    (tmp_path / "go").touch()
    await_all(read, ids)


@pytest.mark.parametrize("number", [0, 1], ids=["a coroutine", "a plain function"])
def test_one_job_is_cancelled_and_no_other(
    start_worker, wait_together, redis, read, tmp_path, number
):
    ids = wait_together(4)
    start_worker(concurrency=4)
    await_here(tmp_path, 4)
    JobCanceller(redis, keep_seconds=60).cancel(ids[number])
    (cancelled,) = await_all(read, [ids[number]], 3)
    (tmp_path / "go").touch()
    others = await_all(read, [job_id for job_id in ids if job_id != ids[number]])

    assert cancelled.status == "cancelled"
    assert {job.status for job in others} == {"finished"}


@pytest.mark.slow
def test_each_ends_at_its_timeout(start_worker, wait_together, enqueue, read, tmp_path):
    """Not the one that shuts its eyes: ``time.sleep`` is left behind, five seconds later."""
    start_worker(concurrency=20, lease_seconds=15)
    others = wait_together(4)
    ways = ("computing", "on a socket", "swallowing")
    late = [enqueue("linger", how=how) for how in ways]
    late += [enqueue("linger_on_loop", how=how) for how in ("awaiting", "blocking")]
    left_behind = enqueue("hold_once", folder=str(tmp_path))
    jobs = await_all(read, late, 5)
    (tmp_path / "go").touch()

    assert {job.error for job in jobs} == {
        "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"
    }
    assert {job.status for job in await_all(read, others)} == {"finished"}
    assert read(left_behind).status == "started"


@pytest.mark.slow
def test_what_never_begins_is_given_up(start_worker, wait_together, enqueue, read, redis, tmp_path):
    """Eleven seconds after its slot, or five after it was cancelled; and no other waits."""
    start_worker(concurrency=20, lease_seconds=PATIENT_LEASE)
    kinds = ("never_begin", "never_begin_on_loop")
    overdue, unwanted = ([enqueue(kind) for kind in kinds] for _ in range(2))
    others = wait_together(4)
    await_here(tmp_path, 4)
    wait_for(lambda: all(read(job_id).status == "started" for job_id in unwanted))
    for job_id in unwanted:
        JobCanceller(redis, keep_seconds=60).cancel(job_id)
    cancelled = await_all(read, unwanted)
    failed = await_all(read, overdue)
    (tmp_path / "go").touch()

    assert {job.status for job in await_all(read, others)} == {"finished"}
    assert {job.status for job in cancelled} == {"cancelled"}
    assert {(job.status, job.error) for job in failed} == {
        ("failed", "JobTimeoutException: it did not end at its timeout (1 s); it was left behind")
    }


@pytest.mark.slow
def test_many_that_keep_the_loop_for_a_moment_are_not_taken_for_one_that_blocks(
    start_worker, enqueue, read
):
    """They begin in one round of the loop, which takes longer than one of them may."""
    ids = [enqueue("keep_loop", seconds=0.5) for _ in range(15)]
    start_worker(concurrency=15, lease_seconds=PATIENT_LEASE)

    assert {(job.status, job.error) for job in await_all(read, ids)} == {("finished", None)}


@pytest.mark.slow
@pytest.mark.parametrize("type", ["crash", "crash_on_loop"])
def test_a_job_that_crashes_is_named_and_abandoned_alone(
    start_worker, wait_together, enqueue, read, redis, tmp_path, type
):
    ids = wait_together(12)
    worker = start_worker(concurrency=20, lease_seconds=PATIENT_LEASE)
    await_here(tmp_path, 12)
    crash = enqueue(type)
    (abandoned,) = await_all(read, [crash])
    (tmp_path / "go").touch()
    jobs = await_all(read, ids)

    assert (abandoned.status, abandoned.attempts) == ("failed", 4)
    assert {(job.status, job.attempts) for job in jobs} == {("finished", 2)}
    assert f"named is job {crash}" in worker.log
    assert not any(redis.hexists(f"rq:job:{job_id}", "spigot_reaps") for job_id in ids)


def test_a_process_that_cannot_hear_its_parent_is_replaced(start_worker, enqueue, read):
    broken = enqueue("break_pool", what="hear")
    worker = start_worker(concurrency=3, lease_seconds=PATIENT_LEASE)
    assert await_all(read, [broken])[0].attempts == 1

    (unheard,) = await_all(read, [enqueue("echo", value=1)])
    assert (unheard.status, unheard.attempts) == ("finished", 1)
    assert "its thread receive has failed" in worker.log


def test_a_job_whose_thread_fails_is_named_and_runs_alone(start_worker, enqueue, read):
    broken = enqueue("break_pool", what="tell")
    worker = start_worker(concurrency=3, lease_seconds=PATIENT_LEASE)

    (job,) = await_all(read, [broken])
    assert (job.status, job.attempts) == ("finished", 2)
    assert f"named is job {broken}" in worker.log


@pytest.mark.slow
def test_who_keeps_the_lock_is_named_and_the_others_run_again(
    start_worker, wait_together, enqueue, read, tmp_path
):
    ids = wait_together(10)
    worker = start_worker(concurrency=20, lease_seconds=6)
    await_here(tmp_path, 10)
    culprit = enqueue("keep_lock")
    wait_for(lambda: f"stood still because of job {culprit} (keep_lock)" in worker.log, 15)
    (tmp_path / "go").touch()
    jobs = await_all(read, ids)

    assert {(job.status, job.attempts) for job in jobs} == {("finished", 2)}
    wait_for(lambda: f"job {culprit} runs alone" in worker.log, 15)


@pytest.mark.slow
def test_a_job_that_computes_is_named_and_no_other(
    start_worker, wait_together, enqueue, read, tmp_path
):
    ids = wait_together(4)
    worker = start_worker(concurrency=6, lease_seconds=60)
    await_here(tmp_path, 4)
    ids.append(enqueue("compute", folder=str(tmp_path)))
    wait_for(lambda: f"job {ids[-1]} (compute) computes" in worker.log)
    (tmp_path / "go").touch()
    await_all(read, ids)

    assert worker.log.count(" computes, and makes others start ") == 1


@pytest.mark.slow
def test_the_jobs_of_a_killed_child_run_again_and_lose_nothing(
    start_worker, wait_together, read, redis, tmp_path
):
    ids = wait_together(12)
    worker = start_worker(concurrency=20, lease_seconds=PATIENT_LEASE)
    await_here(tmp_path, 12)
    worker.kill_horses()
    wait_for(lambda: all(read(job_id).attempts == 2 for job_id in ids))
    (tmp_path / "go").touch()
    jobs = await_all(read, ids)

    assert {(job.status, job.attempts) for job in jobs} == {("finished", 2)}
    assert not any(redis.hexists(f"rq:job:{job_id}", "spigot_reaps") for job_id in ids)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_jobs_outlive_worker_and_child_three_times(start_worker, wait_together, read, tmp_path):
    ids = wait_together(12)
    for kills in range(3):
        worker = start_worker(concurrency=20)
        wait_for(lambda kills=kills: all(read(job_id).attempts > kills for job_id in ids), 40)
        worker.kill_with_horse()
    start_worker(concurrency=20)
    (tmp_path / "go").touch()

    assert {job.status for job in await_all(read, ids, 60)} == {"finished"}


def test_a_signal_gives_back_what_does_not_end_in_its_grace(
    start_worker, wait_together, read, redis, tmp_path
):
    ids = wait_together(6)
    worker = start_worker(concurrency=6, grace_seconds=0.2)
    await_here(tmp_path, 6)
    begun = time.monotonic()
    assert worker.stop() == 0

    assert time.monotonic() - begun < 3.2
    assert {read(job_id).status for job_id in ids} == {"queued"}
    assert not any(redis.hexists(f"rq:job:{job_id}", "spigot_reaps") for job_id in ids)


def test_what_it_claimed_and_will_not_run_goes_back_while_the_others_run(
    start_worker, wait_together, redis, read, tmp_path
):
    ids = wait_together(12)
    worker = start_worker(concurrency=12, work={"max_jobs": 4}, lease_seconds=PATIENT_LEASE)
    await_here(tmp_path, 4)
    bucket = BucketReader(redis)
    wait_for(lambda: (bucket.read("default").running, bucket.read("default").waiting) == (4, 8))

    (tmp_path / "go").touch()
    assert worker.wait() == 0
    start_worker(concurrency=12, lease_seconds=PATIENT_LEASE)
    jobs = await_all(read, ids)
    assert {(job.status, job.attempts) for job in jobs} == {("finished", 1)}
    begun = [job.started_at for job in jobs]
    assert begun == sorted(begun)


@pytest.mark.slow
def test_a_second_signal_ends_it_at_once(start_worker, wait_together, tmp_path):
    wait_together(2)
    worker = start_worker(concurrency=2, grace_seconds=60)
    await_here(tmp_path, 2)
    (child,) = worker.horses
    worker.send(signal.SIGTERM)
    time.sleep(1.2)
    worker.send(signal.SIGTERM)

    assert worker.wait(3) == 1
    wait_for(lambda: not os.path.exists(f"/proc/{child}"), 3)
