"""Calls the function of a job and RQ's callbacks, and tells what came of it."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import cast

from rq.job import Retry, _job_stack
from rq.timeouts import BaseDeathPenalty, JobTimeoutException

from spigot.jobs.types.rate_limited import rate_limit_in

from . import outcome
from .claimed_job import ClaimedJob
from .outcome import Outcome
from .written_result import write_result

InThread = Callable[[Callable[[], Outcome]], Awaitable[Outcome]]
"""Runs what may block in a thread, and returns what it returned."""


class Interrupted(BaseException):
    """Raised in a running function that must end; whoever raised it knows why."""


def call_with_callbacks(
    job: ClaimedJob, function: Callable[[], object], death_penalty: type[BaseDeathPenalty]
) -> Outcome:
    """Call a function within its timeout, and its callbacks; tell what came of it.

    Args:
        job: Whose function it is.
        function: Without arguments.
        death_penalty: RQ's way to end a function at its timeout.

    Raises:
        Interrupted: Whoever runs it wanted that.
    """
    try:
        with death_penalty(job.timeout, JobTimeoutException, job_id=job.id):
            value = _call(job, function)
            # what is returned may be foreign code as well, which takes its time
            result = "" if isinstance(value, Retry) else write_result(value)
    except Interrupted:
        raise
    except BaseException as error:
        return _after_error(job, error, death_penalty)
    return _after_return(job, value, result, death_penalty)


async def await_with_callbacks(
    job: ClaimedJob,
    function: Callable[[], object],
    death_penalty: type[BaseDeathPenalty],
    is_overdue: Callable[[], bool],
    in_thread: InThread,
) -> Outcome:
    """Await a coroutine function, and run its callbacks in a thread; tell what came of it.

    Args:
        job: As ``call_with_callbacks`` takes it; so are the next two.
        function: Returns the coroutine.
        death_penalty: For the callbacks.
        is_overdue: Whether it was interrupted because of its timeout, which the caller watches.
        in_thread: Runs callbacks.

    Raises:
        Interrupted: Whoever runs it wanted that; or ``asyncio.CancelledError``.
    """
    try:
        value = await _await(job, function)
        result = "" if isinstance(value, Retry) else write_result(value)
    except (Interrupted, asyncio.CancelledError) as error:
        if not is_overdue():
            raise
        late = JobTimeoutException(f"Task exceeded maximum timeout value ({job.timeout} seconds)")
        late.__cause__ = error
        return await in_thread(partial(_after_error, job, late, death_penalty))
    except BaseException as error:
        return await in_thread(partial(_after_error, job, error, death_penalty))
    if job._success_callback_name:
        return await in_thread(partial(_after_return, job, value, result, death_penalty))
    return _after_return(job, value, result, death_penalty)


def _after_error(
    job: ClaimedJob, error: BaseException, death_penalty: type[BaseDeathPenalty]
) -> Outcome:
    limit = rate_limit_in(error)
    if limit is None:
        return _failure(job, error, death_penalty)
    if limit.kind == "too_large":  # it has failed, and callbacks are told of failures
        _failure(job, limit, death_penalty)
    return outcome.refused(limit)


def _after_return(
    job: ClaimedJob, value: object, result: str, death_penalty: type[BaseDeathPenalty]
) -> Outcome:
    try:
        if isinstance(value, Retry):
            return Outcome(
                "retry",
                error="the function asked to be run again",
                retries=value.max,
                intervals=tuple(value.intervals),
            )
        job.execute_success_callback(death_penalty, value)
        return Outcome("finished", result=result)
    except Interrupted:
        raise
    except BaseException as error:
        return _failure(job, error, death_penalty)


def _call(job: ClaimedJob, function: Callable[[], object]) -> object:
    _job_stack.push(job)  # what rq.get_current_job() returns inside the function
    try:
        value = function()
        return asyncio.run(_awaited(value)) if inspect.isawaitable(value) else value
    finally:
        _job_stack.pop()


async def _await(job: ClaimedJob, function: Callable[[], object]) -> object:
    _job_stack.push(job)
    try:
        return await cast(Awaitable[object], function())
    finally:
        _job_stack.pop()


async def _awaited(value: Awaitable[object]) -> object:
    return await value


def _failure(
    job: ClaimedJob, error: BaseException, death_penalty: type[BaseDeathPenalty]
) -> Outcome:
    try:
        job.execute_failure_callback(death_penalty, type(error), error, error.__traceback__)
        _handle(job, error)
    except Interrupted:
        raise
    except BaseException as callback_error:
        return outcome.failed(callback_error)
    return outcome.failed(error)


def _handle(job: ClaimedJob, error: BaseException) -> None:
    """Call RQ's exception handlers until one returns a false value that is not None."""
    for handler in job.exception_handlers:
        goes_on = handler(job, type(error), error, error.__traceback__)
        if goes_on is not None and not goes_on:
            return
