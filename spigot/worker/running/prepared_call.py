"""Prepares the call of a job's function; the same in a work horse, a simple worker and a pool."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, NoReturn

from rq.exceptions import DeserializationError
from rq.timeouts import BaseDeathPenalty

from spigot.jobs.budgets.report import UsedAmounts, costs_told_to
from spigot.jobs.budgets.reserved import Reserved
from spigot.jobs.types.function_kinds import is_coroutine_function
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import BoundFunction
from spigot.jobs.types.progress import progress_told_to

from .attempt_writers import AttemptWriters
from .claimed_job import ClaimedJob
from .function_call import InThread, await_with_callbacks, call_with_callbacks
from .outcome import Outcome
from .progress_writer import AttemptProgress

NOT_JSON = (
    "the job is not JSON: Spigot's workers read RQ's JSON serializer only; enqueue with "
    "Queue(…, serializer='json')"
)


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
            ended = call_with_callbacks(self.job, self.function.call, self.death_penalty)
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
            ended = await await_with_callbacks(
                self.job, self.function.call, self.death_penalty, is_overdue, in_thread
            )
        return self._with_told(ended, progress, used)

    def _told_to(self, writers: AttemptWriters) -> tuple[AttemptProgress, UsedAmounts]:
        token = self.job.claim.token
        return writers.progress.of(token), UsedAmounts(self.reserved, writers.usage.of(token))

    def _with_told(self, ended: Outcome, progress: AttemptProgress, used: UsedAmounts) -> Outcome:
        progress.close()
        if self.function.hidden or self.job.hidden:
            ended = ended.without(self.function.hidden | self.job.hidden_texts)
        last, text, noted = progress.last, used.text, used.noted
        if not (last or text or noted):
            return ended
        return replace(ended, progress=last, used=text, noted=noted)


def prepare(
    job: ClaimedJob, catalog: JobCatalog, death_penalty: type[BaseDeathPenalty]
) -> PreparedCall:
    """Find the job's function and read its arguments, ahead of its slot: that may be an import.

    If there is nothing to call, calling it says why.
    """
    is_async = False
    try:
        job_type = catalog.find(job.type_name)
        if job_type is not None:
            is_async = job_type.is_async
            function = job_type.bind(job.kwargs)
        else:
            plain = _plain_function(job)
            is_async = is_coroutine_function(plain)
            # not by RQ's job._execute, which runs a coroutine on a loop of its own
            function = BoundFunction(partial(plain, *job.args, **job.kwargs))
    except DeserializationError:
        function = BoundFunction(_raising(DeserializationError(NOT_JSON)))
    except BaseException as error:
        function = BoundFunction(_raising(error))
    return PreparedCall(job, function, death_penalty, is_async, Reserved.of_claim(job.claim.fields))


def _plain_function(job: ClaimedJob) -> Callable[..., Any]:
    """Return the function that plain RQ was asked to run."""
    function: Callable[..., Any] | None = job.func
    if function is None:
        raise ValueError("the job names no function")
    return function


def _raising(error: BaseException) -> Callable[[], NoReturn]:
    def fail() -> NoReturn:
        raise error

    return fail
