"""Runs attempts in the worker's own process: quick, for functions that are short and trusted."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import FrameType

from . import outcome
from .claimed_job import ClaimedJob
from .function_call import Interrupted
from .outcome import Outcome
from .prepared_call import prepare
from .runner import LOOK_SECONDS, TIMEOUT_MARGIN, RunnerTools

log = logging.getLogger(__name__)

INTERRUPT = signal.SIGUSR2
"""Sent to the main thread, where its handler raises ``Interrupted`` in the running function."""

HEED_SECONDS = 5.0
"""How long a function may take to end after that; then the whole process ends."""


@dataclass(slots=True, eq=False)
class _Attempt:
    """A function that runs in the main thread.

    Attributes:
        job_id: Its job.
        start_at: When its slot is, in monotonic seconds.
        latest: Monotonic seconds at which it must have ended, timeout and all.
        reason: Why it is to end, if it is.
        interrupted_at: Monotonic seconds at which it was told.
        raised: Whether ``Interrupted`` was raised in it; that happens once.
        late_us: Microseconds from the slot to the call of the function; None if it was not called.
    """

    job_id: str
    start_at: float
    latest: float
    reason: Outcome | None = None
    interrupted_at: float = 0.0
    raised: bool = False
    late_us: int | None = None


class InProcessRunner:
    """Calls functions in the main thread, and ends those that must not go on.

    A work horse can be killed; here the function is interrupted by an exception. One that does
    not heed it (it catches everything, or is deep in foreign code) takes the process with it:
    the lease brings its job back.
    """

    pid = 0

    def __init__(self, tools: RunnerTools) -> None:
        self._tools = tools
        self._stop = tools.stop
        self._attempt: _Attempt | None = None
        # re-entrant: a signal handler may call `kill` while the main thread holds it
        self._changing = threading.Condition(threading.RLock())
        self._watch: threading.Thread | None = None

    def run(self, job: ClaimedJob) -> Outcome:
        """Run the job's function in its slot, with its lease renewed, and say how it went."""
        self._start_watch()
        if time.monotonic() >= job.claim.stands_until:
            return self._tools.not_begun(job)
        function = prepare(job, self._tools.catalog, self._tools.death_penalty)
        self._stop.wait(job.start_at - time.monotonic())
        if self._stop.requested or self._tools.hold_news.came_after(job.claim):
            return self._tools.not_begun(job)
        latest = job.start_at + job.longest_seconds + TIMEOUT_MARGIN
        attempt = _Attempt(job.id, job.start_at, latest)
        self._tools.renewer.keep(
            job.claim.token,
            lambda: self._interrupt(attempt, outcome.lost()),
            lambda: self.cancel(job.id),
        )
        try:
            reported = self._call(function.run, attempt)
        finally:
            self._tools.renewer.release(job.claim.token)
        if attempt.reason is None or (reported is not None and reported.status == "finished"):
            assert reported is not None
            return replace(reported, late_us=attempt.late_us)
        return replace(attempt.reason, late_us=attempt.late_us)

    def kill(self) -> None:
        """End the present attempt; safe from any thread and signal handler."""
        attempt = self._attempt
        # the main thread's signal handler ends the whole process next, and must get that far
        if attempt is not None and threading.current_thread() is not threading.main_thread():
            self._interrupt(attempt, Outcome("died", error="Killed: it was told to stop"))

    def cancel(self, job_id: str) -> None:
        """End the attempt of this job, if it is the present one; safe as ``kill``."""
        with self._changing:
            attempt = self._attempt
            if attempt is not None and attempt.job_id == job_id:
                self._interrupt(attempt, outcome.cancelled())

    def _call(self, function: Callable[[], Outcome], attempt: _Attempt) -> Outcome | None:
        """Call the function; None if it was interrupted, or not even begun."""
        try:
            try:
                return function() if self._begin(attempt) else None
            finally:
                self._attempt = None
        except Interrupted:
            self._attempt = None
            return None

    def _begin(self, attempt: _Attempt) -> bool:
        with self._changing:
            if self._tools.early_stops.take(attempt.job_id):
                attempt.reason = outcome.cancelled()
                return False
            self._attempt = attempt
            attempt.late_us = max(0, round((time.monotonic() - attempt.start_at) * 1_000_000))
            self._changing.notify()
            return True

    def _interrupt(self, attempt: _Attempt, reason: Outcome) -> None:
        with self._changing:
            if self._attempt is not attempt or attempt.reason is not None:
                return
            attempt.reason, attempt.interrupted_at = reason, time.monotonic()
            main_thread = threading.main_thread().ident
            assert main_thread is not None
            signal.pthread_kill(main_thread, INTERRUPT)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        attempt = self._attempt
        if attempt is not None and attempt.reason is not None and not attempt.raised:
            attempt.raised = True
            raise Interrupted

    # The thread that ends what must not go on

    def _start_watch(self) -> None:
        if self._watch is None:
            signal.signal(INTERRUPT, self._handle)
            self._watch = threading.Thread(target=self._keep_watch, name="watch", daemon=True)
            self._watch.start()

    def _keep_watch(self) -> None:
        while True:
            with self._changing:
                self._changing.wait_for(lambda: self._attempt is not None)
            time.sleep(LOOK_SECONDS)
            attempt = self._attempt
            if attempt is not None:
                self._look_at(attempt)

    def _look_at(self, attempt: _Attempt) -> None:
        self._tools.renewer.expire()
        now = time.monotonic()
        if attempt.reason is not None:
            if now - attempt.interrupted_at > HEED_SECONDS:
                log.error("the running function does not end: the worker ends with it")
                os._exit(1)
        elif self._stop.requested_for(self._tools.grace_seconds):
            self._interrupt(attempt, outcome.given_back())
        elif now > attempt.latest:
            self._interrupt(
                attempt, Outcome("failed", error="JobTimeoutException: it went on after that")
            )
