"""A traceback begins in the function of its author."""

import asyncio
import gc
import math

import pytest
from pydantic import BaseModel, TypeAdapter, computed_field, field_serializer
from redis import Redis
from rq.timeouts import BaseDeathPenalty

from spigot import job_type
from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.job.failure_place import place_of
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import registered_type
from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.function_call import _call
from spigot.worker.running.own_traceback import own_traceback
from spigot.worker.running.prepared_call import prepare
from spigot.worker.running.written_result import UnwritableResult, write_result


class Nameless:
    """Stands for a job."""

    id = "j"


def fail() -> None:
    deeper()


def deeper() -> None:
    raise KeyError("k")


def fail_again() -> None:
    try:
        deeper()
    except KeyError as error:
        raise ValueError("again") from error


async def fail_in_a_task() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(deeper))


async def fail_later() -> None:
    await asyncio.sleep(0)
    deeper()


def validate() -> None:
    TypeAdapter(int).validate_python("x")


def takes_a_number(number: int) -> None:
    """Is a job type."""


def trace_of(function) -> str:
    with pytest.raises(Exception) as raised:  # noqa: PT011 - any
        _call(Nameless(), function)
    below = raised.value.__traceback__.tb_next  # the first frame is that of this test
    return own_traceback(raised.value.with_traceback(below))


@pytest.mark.parametrize("function", [fail, fail_later])
def test_it_begins_in_the_function(function):
    lines = trace_of(function).splitlines()

    assert lines[0] == "Traceback (most recent call last):"
    assert 'test_own_traceback.py", line' in lines[1] or __name__ in lines[1]
    assert lines[-1] == "KeyError: 'k'"


@pytest.mark.parametrize("function", [fail, fail_again, fail_later, fail_in_a_task, validate])
def test_it_has_no_frame_of_those_who_called_the_function(function):
    trace = trace_of(function)

    assert "function_call.py" not in trace
    assert "asyncio/runners.py" not in trace
    assert "test_own_traceback.py" in trace


def test_what_caused_it_is_told_too():
    trace = trace_of(fail_again)

    assert "KeyError: 'k'\n\nThe above exception was the direct cause" in trace
    assert trace.endswith("ValueError: again\n")


def test_an_error_of_the_worker_itself_keeps_its_frames():
    trace = trace_of(5)

    assert "function_call.py" in trace
    assert "not callable" in trace


class Summed(BaseModel):
    """Cannot be written, because of a line of its author."""

    @computed_field
    def total(self) -> int:
        return deeper()


class Serialised(BaseModel):
    """The same, and pydantic says so in words of its own."""

    total: int = 1

    @field_serializer("total")
    def _of(self, value: int) -> int:
        return deeper()


def trace_of_result(value) -> str:
    with pytest.raises(UnwritableResult) as raised:
        write_result(value)
    below = raised.value.__traceback__.tb_next
    return own_traceback(raised.value.with_traceback(below))


@pytest.mark.parametrize("value", [object(), {"a": [object()]}, math.nan, {"\udfff": 1}, iter("a")])
def test_a_result_that_spigot_cannot_write_was_refused_in_no_line(value):
    trace = trace_of_result(value)

    assert len(trace.splitlines()) == 1
    assert trace.startswith("spigot.worker.running.written_result.UnwritableResult: result")
    assert place_of(trace) is None


@pytest.mark.parametrize("value", [Summed(), Serialised()])
def test_a_result_that_a_line_of_its_author_cannot_write_is_told_with_that_line(value):
    trace = trace_of_result(value)

    assert "written_result.py" not in trace
    assert trace.count("The above exception was the direct cause") == 1
    assert place_of(trace).startswith(f"{__file__}:")
    assert place_of(trace).endswith(" in deeper")


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b'["f", null, [], {"number": "many"}]', "spigot.jobs.types.payloads.InvalidPayload: "),
        (b"no JSON", "rq.exceptions.DeserializationError: the job is not JSON"),
    ],
    ids=["no number", "no JSON"],
)
def test_a_payload_that_spigot_cannot_read_was_refused_in_no_line(data, line):
    catalog = JobCatalog([registered_type(job_type("typed")(takes_a_number))])
    fields = {
        b"data": data,
        b"created_at": b"2026-01-01T12:00:00.000001Z",
        b"spigot_type": b"typed",
    }
    claim = Claim("id", "default", "token", 0, 0, 0.0, 1, fields)
    job = ClaimedJob.of(claim, Redis())
    trace = trace_of(prepare(job, catalog, BaseDeathPenalty).function.call)

    assert trace.startswith(line)
    assert len(trace.splitlines()) == 1


def test_an_endless_recursion_stays_short():
    def around() -> None:
        around()

    gc.disable()  # a collection that deep could not call what it finds
    try:
        assert len(trace_of(around)) < 2_000
    finally:
        gc.enable()
