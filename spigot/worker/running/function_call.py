"""Calls the function of a job; the same in a work horse and in a simple worker."""

import asyncio
import inspect
import json
import math
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn, cast

from redis import Redis
from rq import Queue
from rq.exceptions import DeserializationError
from rq.job import Job, Retry, _job_stack
from rq.serializers import JSONSerializer
from rq.timeouts import BaseDeathPenalty, JobTimeoutException

from spigot.jobs.bucket.leaky_bucket import Claim
from spigot.jobs.budgets.report import UsedAmounts, costs_told_to
from spigot.jobs.budgets.reserved import Reserved
from spigot.jobs.store.stored_values import stored_text
from spigot.jobs.types.function_kinds import innermost
from spigot.jobs.types.hidden_fields import hidden_values
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import BoundFunction
from spigot.jobs.types.progress import progress_told_to
from spigot.jobs.types.rate_limited import rate_limit_in

from . import outcome
from .attempt_writers import AttemptWriters
from .outcome import Outcome
from .progress_writer import AttemptProgress
from .usual_times import split_usual_times
from .written_result import write_result

Hook = Callable[..., object]

InThread = Callable[[Callable[[], Outcome]], Awaitable[Outcome]]
"""Runs what may block in a thread, and returns what it returned."""

NOT_JSON = (
    "the job is not JSON: Spigot's workers read RQ's JSON serializer only; enqueue with "
    "Queue(…, serializer='json')"
)


class Interrupted(BaseException):
    """Raised in a running function that must end; whoever raised it knows why."""


class ClaimedJob(Job):
    """A job that was claimed from its bucket.

    Attributes:
        claim: Of the present attempt.
        start_at: When the slot is, on the monotonic clock of this machine.
        type_name: Of the catalog; "" for a job that plain RQ enqueued.
        hidden: Paths of its payload that nobody is shown.
        request_id: Of the request that made it; "" if none did.
        exception_handlers: Those that RQ's worker was given.
        on_horse_killed: What it does when a work horse was killed; told process id, wait status
            and resource usage.
    """

    claim: Claim
    start_at: float
    timeout: int
    type_name: str = ""
    request_id: str = ""
    hidden: Sequence[Sequence[str]] = ()
    exception_handlers: Sequence[Hook] = ()
    on_horse_killed: Hook | None = None

    @classmethod
    def of(cls, claim: Claim, connection: Redis) -> "ClaimedJob":
        """Build the job from a claim that was returned just now, without asking again."""
        job = cls(claim.job_id, connection=connection)
        job.serializer = JSONSerializer  # the check of the constructor takes a tenth of it all
        job.restore(claim.fields)
        job.claim = claim
        job.start_at = claim.start_at
        job.timeout = job.timeout or Queue.DEFAULT_TIMEOUT
        job.type_name = stored_text(claim.fields.get(b"spigot_type", b""))
        job.hidden = json.loads(claim.fields.get(b"spigot_hidden", b"[]"))
        job.request_id = stored_text(claim.fields.get(b"spigot_request_id", b""))
        return job

    def restore(self, raw_data: Any) -> None:
        """Take over the fields of the job's hash, as RQ's own does."""
        others, times = split_usual_times(raw_data)
        super().restore(others)
        vars(self).update(times)

    @property
    def longest_seconds(self) -> float:
        """How long its function and its callbacks may take together; infinite if no timeout."""
        if self.timeout < 0:
            return math.inf
        success = self.success_callback_timeout if self._success_callback_name else 0
        failure = self.failure_callback_timeout if self._failure_callback_name else 0
        return self.timeout + success + failure

    @property
    def hidden_texts(self) -> set[str]:
        """What nobody is shown of its payload."""
        try:
            return hidden_values(self.kwargs, self.hidden) if self.hidden else set()
        except DeserializationError:
            return set()

    def readable_name(self) -> str:
        """Return the job type, or the dotted name of the function, or why there is none."""
        try:
            return self.type_name or self.func_name or ""
        except DeserializationError:
            return "unreadable"


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A job whose function was found and whose arguments were read.

    Nothing that function and callbacks raise gets out; what is to end the process
    (``SystemExit``) is told as a failure too. Only ``Interrupted`` is raised, as whoever runs it
    wanted.

    Attributes:
        job: Whose function it is.
        function: With its payload.
        death_penalty: RQ's way to end a function at its timeout.
        is_async: Whether it is a coroutine function.
        reserved: What it reserved of its bucket's budgets.
    """

    job: ClaimedJob
    function: BoundFunction
    death_penalty: type[BaseDeathPenalty]
    is_async: bool = False
    reserved: Reserved = field(default_factory=Reserved)

    def run(self, writers: AttemptWriters | None = None) -> Outcome:
        """Run the function within its timeout, and its callbacks.

        Args:
            writers: Take what it reports; None opens some of its own.
        """
        if writers is None:
            with closing(AttemptWriters(self.job.connection)) as own:
                return self.run(own)
        progress, used = self._told_to(writers)
        with progress_told_to(progress.report), costs_told_to(used):
            ended = _call_with_callbacks(self.job, self.function.call, self.death_penalty)
        return self._with_told(ended, progress, used)

    async def run_on_loop(
        self,
        writers: AttemptWriters,
        is_overdue: Callable[[], bool],
        in_thread: InThread,
    ) -> Outcome:
        """Await the coroutine function, and run its callbacks in a thread.

        Args:
            writers: Take what it reports.
            is_overdue: Whether it was interrupted because of its timeout, which the caller
                watches.
            in_thread: Runs callbacks.
        """
        progress, used = self._told_to(writers)
        with progress_told_to(progress.report), costs_told_to(used):
            ended = await _await_with_callbacks(self, is_overdue, in_thread)
        return self._with_told(ended, progress, used)

    def _told_to(self, writers: AttemptWriters) -> tuple[AttemptProgress, UsedAmounts]:
        token = self.job.claim.token
        return writers.progress.of(token), UsedAmounts(self.reserved, writers.usage.of(token))

    def _with_told(self, ended: Outcome, progress: AttemptProgress, used: UsedAmounts) -> Outcome:
        progress.close()
        hidden = self.function.hidden | self.job.hidden_texts
        return replace(
            ended.without(hidden), progress=progress.last, used=used.text, noted=used.noted
        )


def prepare(
    job: ClaimedJob, catalog: JobCatalog, death_penalty: type[BaseDeathPenalty]
) -> PreparedCall:
    """Find the job's function and read its arguments, ahead of its slot: that may be an import."""
    function = _function_of(job, catalog)
    reserved = Reserved.of_claim(job.claim.fields)
    return PreparedCall(job, function, death_penalty, _is_async(job, catalog), reserved)


def _is_async(job: ClaimedJob, catalog: JobCatalog) -> bool:
    try:
        job_type = catalog.find(job.type_name)
        function = job.func if job_type is None else job_type.function
        return function is not None and inspect.iscoroutinefunction(innermost(function))
    except BaseException:  # whatever it is, calling it will tell
        return False


def _function_of(job: ClaimedJob, catalog: JobCatalog) -> BoundFunction:
    """Return what is to be called without arguments; if there is nothing, it says why."""
    try:
        job_type = catalog.find(job.type_name)
        if job_type is not None:
            return job_type.bind(job.kwargs)
        function = job.func
        if function is None:
            raise ValueError("the job names no function")
        # not by RQ's job._execute, which runs a coroutine on a loop of its own
        return BoundFunction(partial(function, *job.args, **job.kwargs))
    except DeserializationError:
        return BoundFunction(_raising(DeserializationError(NOT_JSON)))
    except BaseException as error:
        return BoundFunction(_raising(error))


def _raising(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail


def _call_with_callbacks(
    job: ClaimedJob, function: Callable[[], object], death_penalty: type[BaseDeathPenalty]
) -> Outcome:
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


async def _await_with_callbacks(
    prepared: PreparedCall, is_overdue: Callable[[], bool], in_thread: InThread
) -> Outcome:
    job = prepared.job
    try:
        value = await _await(job, prepared.function.call)
        result = "" if isinstance(value, Retry) else write_result(value)
    except (Interrupted, asyncio.CancelledError) as error:
        if not is_overdue():
            raise
        late = JobTimeoutException(f"Task exceeded maximum timeout value ({job.timeout} seconds)")
        late.__cause__ = error
        return await in_thread(_bound(_after_error, job, late, prepared.death_penalty))
    except BaseException as error:
        return await in_thread(_bound(_after_error, job, error, prepared.death_penalty))
    if job._success_callback_name:
        return await in_thread(_bound(_after_return, job, value, result, prepared.death_penalty))
    return _after_return(job, value, result, prepared.death_penalty)


def _bound(function: Callable[..., Outcome], *args: Any) -> Callable[[], Outcome]:
    return lambda: function(*args)


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
