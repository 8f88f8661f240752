"""A traceback begins in the function of its author."""

import asyncio
import gc

import pytest
from pydantic import TypeAdapter

from spigot.worker.running.function_call import _call
from spigot.worker.running.own_traceback import own_traceback


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


def test_an_endless_recursion_stays_short():
    def around() -> None:
        around()

    gc.disable()  # a collection that deep could not call what it finds
    try:
        assert len(trace_of(around)) < 2_000
    finally:
        gc.enable()
