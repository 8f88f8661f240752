"""Retries and times of plain RQ, with real workers; rates and scripts are tested in tests/jobs."""

import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from rq import Queue, Retry
from rq.serializers import JSONSerializer

from spigot.jobs.job.state import JobReader
from tests.support import outcome_app as errands
from tests.support.processes import wait_for


@pytest.fixture
def rq_queue(redis) -> Queue:
    return Queue("default", connection=redis, serializer=JSONSerializer)


def waits_between(fleet, job_id: str) -> list[float]:
    """Return the seconds from each failure of a job to its next start."""
    lines = fleet.lines_of(job_id)
    return [
        later["slot_at"] - (earlier["slot_at"] + earlier["ran_for"])
        for earlier, later in pairwise(lines)
    ]


def test_a_job_type_is_retried_after_its_delays(fleet, redis):
    job = fleet.queue(redis).enqueue("fall", {"name": "twice", "times": 2})

    with fleet.workers(2):
        lines = fleet.wait_for_lines(3)

    assert [line["status"] for line in lines] == ["retrying", "retrying", "finished"]
    assert [line["attempt"] for line in lines] == [1, 2, 3]
    assert lines[0]["error"] == "KeyError: 'twice'"
    first, second = waits_between(fleet, job.id)
    assert 0.3 <= first < 1.3  # the upper bounds are for a busy machine
    assert 0.6 <= second < 1.6


def test_what_runs_out_of_retries_fails(fleet, redis):
    job = fleet.queue(redis).enqueue("fall", {"name": "always", "times": 99})

    with fleet.workers():
        lines = fleet.wait_for_lines(3)

    assert [line["status"] for line in lines] == ["retrying", "retrying", "failed"]
    state = JobReader(redis).read(job.id)
    assert (state.status, state.error, state.attempts) == ("failed", "KeyError: 'always'", 3)


def test_what_rq_schedules_runs_on_time_without_a_scheduler(fleet, redis, rq_queue):
    with fleet.workers(2):
        begun = time.time()
        job = rq_queue.enqueue_in(timedelta(seconds=2), errands.note, "in")
        at = rq_queue.enqueue_at(datetime.now(UTC) + timedelta(seconds=2), errands.note, "at")
        lines = fleet.wait_for_lines(2)

    assert {line["id"] for line in lines} == {job.id, at.id}
    for line in lines:
        assert int(begun) + 2 <= line["slot_at"] < begun + 4  # RQ keeps whole seconds


@pytest.mark.slow
def test_rqs_retries_wait_their_intervals(fleet, rq_queue):
    job = rq_queue.enqueue(errands.fail, retry=Retry(max=2, interval=[1, 2]))

    with fleet.workers():
        lines = fleet.wait_for_lines(3)

    assert [line["status"] for line in lines] == ["retrying", "retrying", "failed"]
    first, second = waits_between(fleet, job.id)
    assert 1 <= first < 2
    assert 2 <= second < 3


@pytest.mark.slow
def test_a_worker_that_dies_while_jobs_are_delayed_loses_none(fleet, redis):
    fleet.settings = {"SPIGOT_LEASE_SECONDS": "1"}
    queue = fleet.queue(redis)
    jobs = {queue.enqueue("fall", {"name": f"job-{n}", "times": 1}).id for n in range(20)}

    def finished() -> set[str]:
        return {line["id"] for line in fleet.log() if line["status"] == "finished"}

    with fleet.workers(2) as workers:
        fleet.wait_for_lines(10)
        workers.kill()
    with fleet.workers(2):
        wait_for(lambda: finished() == jobs)
