"""Cancelling what real workers run; the decision itself is tested in tests/jobs."""

import random
import time

import pytest
from rq import Callback, Queue
from rq.command import send_stop_job_command
from rq.serializers import JSONSerializer

from spigot.jobs.job.cancelling import JobCanceller
from spigot.jobs.job.state import JobReader
from tests.support import outcome_app as errands
from tests.support.processes import wait_for


@pytest.fixture
def canceller(redis) -> JobCanceller:
    return JobCanceller(redis, keep_seconds=600)


@pytest.fixture
def nap(fleet, redis):
    """Return a function that enqueues a long job and waits until it runs."""

    def enqueue(name: str = "nap") -> str:
        job = fleet.queue(redis).enqueue("nap", {"seconds": 60, "name": name})
        wait_for(lambda: (fleet.folder / f"{name}.note").exists())
        return job.id

    return enqueue


def status(redis, job_id: str) -> str:
    return JobReader(redis).read(job_id).status


def test_a_running_job_is_stopped_and_the_worker_goes_on(fleet, redis, canceller, nap):
    with fleet.workers():
        job_id = nap()
        begun = time.monotonic()
        assert canceller.cancel(job_id).outcome == "stopping"
        wait_for(lambda: status(redis, job_id) == "cancelled")
        assert time.monotonic() - begun < 1.5  # before the lease is renewed
        fleet.queue(redis).enqueue("echo", {"text": "next"})
        lines = fleet.wait_for_lines(2)

    assert [line["status"] for line in lines] == ["cancelled", "finished"]
    assert lines[0]["error"] == "Cancelled: it was stopped while it ran"
    assert redis.zcard("rq:failed:default") == 0


@pytest.mark.slow
def test_a_worker_that_was_not_told_finds_out(fleet, redis, canceller, nap):
    with fleet.workers():
        job_id = nap()
        redis.client_kill_filter(_type="pubsub")
        assert canceller.cancel(job_id).outcome == "stopping"
        wait_for(lambda: status(redis, job_id) == "cancelled", 10)


@pytest.mark.slow
def test_a_cancelled_job_does_not_run_again_after_its_worker_died(fleet, redis, canceller, nap):
    fleet.settings = {"SPIGOT_LEASE_SECONDS": "1"}
    with fleet.workers() as workers:
        job_id = nap()
        workers.kill()
        workers.wait()
    canceller.cancel(job_id)
    with fleet.workers():
        wait_for(lambda: status(redis, job_id) == "cancelled")
        fleet.wait_for_lines(1)

    assert len(fleet.notes("nap")) == 1
    assert [line["status"] for line in fleet.log()] == ["cancelled"]


def test_rqs_own_command_and_callback_work(fleet, redis):
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    with fleet.workers():
        job = queue.enqueue(errands.nap, 60, "nap", on_stopped=Callback(errands.on_stopped))
        wait_for(lambda: (fleet.folder / "nap.note").exists())
        send_stop_job_command(redis, job.id, serializer=JSONSerializer)
        wait_for(lambda: status(redis, job.id) == "cancelled")
        wait_for(lambda: (fleet.folder / "on_stopped.note").exists())


@pytest.mark.slow
def test_a_job_cancelled_at_any_moment_is_cancelled_or_finished(fleet, redis, canceller):
    """Before the claim, between claim and fork, before the slot, while it runs, at its end."""
    queue, chance, words = fleet.queue(redis), random.Random(7), {}
    with fleet.workers(2):
        for number in range(60):
            job = queue.enqueue("nap", {"seconds": 0.02, "name": f"nap-{number}"})
            time.sleep(chance.uniform(0, 0.06))
            words[job.id] = canceller.cancel(job.id).outcome
        ended = {"cancelled", "finished"}
        wait_for(lambda: all(status(redis, job_id) in ended for job_id in words), 30)
        lines = fleet.wait_for_lines(60)

    assert len(words) == 60
    assert set(words.values()) <= {"cancelled", "stopping", "ended"}
    assert sorted(line["id"] for line in lines) == sorted(words)
    for job_id, word in words.items():
        assert status(redis, job_id) == "cancelled" or word != "cancelled"
    assert not redis.keys("spigot:1:lease:*")
    assert redis.zcard("spigot:1:bucket:default:leases") == 0
