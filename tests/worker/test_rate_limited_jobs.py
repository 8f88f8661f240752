"""``RateLimited`` from everything that a worker runs; the hold itself is tested in tests/jobs."""

import pytest
from rq import Callback, Queue
from rq.serializers import JSONSerializer

from spigot.jobs.job.state import JobReader
from spigot.jobs.store import keys
from tests.support import outcome_app as errands

LATE = 1.0
"""Seconds that a busy machine may need; on a quiet one it is some milliseconds."""


def assert_was_held(lines, seconds: float) -> None:
    """One attempt was refused, and the next began when the downstream serves again."""
    assert [line["status"] for line in lines] == ["rate_limited", "finished"]
    refused, served = lines
    assert refused["error"] == f"RateLimited: the downstream asked to wait {seconds:g} s"
    # a float of Unix seconds is exact to a quarter of a microsecond
    waited = round(served["slot_at"] - (refused["slot_at"] + refused["ran_for"]), 6)
    assert seconds <= waited < seconds + LATE


@pytest.mark.parametrize("type", ["refused", "refused_together"])
def test_a_job_type_and_what_it_calls(fleet, redis, type):
    job = fleet.queue(redis).enqueue(type, {"name": "down", "times": 1, "seconds": 0.5})

    with fleet.workers(2):
        assert_was_held(fleet.wait_for_lines(2), 0.5)

    assert JobReader(redis).read(job.id).status == "finished"
    if type == "refused":
        assert redis.hget(keys.job(job.id), "retries_left") == b"1"


@pytest.mark.slow
def test_a_plain_function_of_rq_and_its_failure_callback_is_not_run(fleet, redis):
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    queue.enqueue(errands.ask_downstream, "plain", 1, 0.5, on_failure=Callback(errands.on_failure))

    with fleet.workers(2):
        assert_was_held(fleet.wait_for_lines(2), 0.5)

    assert not (fleet.folder / "on_failure.note").exists()
    assert redis.zcard("rq:failed:default") == 0


def test_the_failure_callback_is_run_for_a_failure(fleet, redis):
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    queue.enqueue(errands.fail, on_failure=Callback(errands.on_failure))

    with fleet.workers():
        assert [line["status"] for line in fleet.wait_for_lines(1)] == ["failed"]

    assert len(fleet.notes("on_failure")) == 1


@pytest.mark.slow
def test_the_hold_is_kept_by_all_workers(fleet, redis):
    queue = fleet.queue(redis)
    held = queue.enqueue("refused", {"name": "first", "times": 1, "seconds": 1})
    with fleet.workers(4):
        fleet.wait_for_lines(1)
        others = [queue.enqueue("echo", {"text": str(n)}) for n in range(8)]
        lines = fleet.wait_for_lines(10)

    refused, *rest = lines
    until = refused["slot_at"] + refused["ran_for"] + 1
    first = min(line["slot_at"] for line in rest)
    assert round(first - until, 6) >= 0  # floats of Unix seconds, exact to a quarter of a us
    started = sorted(rest, key=lambda line: line["slot_at"])
    assert [line["id"] for line in started] == [held.id, *(job.id for job in others)]
