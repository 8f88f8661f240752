"""One attempt, as the child of a pool sees it."""

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.outcome import Outcome
from spigot.worker.running.runner import TIMEOUT_MARGIN

if TYPE_CHECKING:
    from .job_threads import JobThread

current_attempt: ContextVar["Attempt | None"] = ContextVar("current_attempt", default=None)
"""Whose function runs in this context; its sub-tasks and ``asyncio.to_thread`` inherit it."""


def overdue(job: ClaimedJob) -> Outcome:
    """Return the outcome of a function that did not heed its timeout."""
    return Outcome(
        "failed", error=f"JobTimeoutException: it did not end at its timeout ({job.timeout} s)"
    )


@dataclass(slots=True, eq=False)
class Attempt:
    """A job in its place.

    Attributes:
        job: The job.
        place: Its number.
        kick: Tells whatever runs it to end; may be called again.
        deadline: Monotonic seconds at which it must have ended.
        reason: Why it is to end, if it is.
        is_overdue: Whether that is its timeout.
        interrupted_at: Monotonic seconds at which it was first told; 0 if it was not.
        kicked_at: When it was last told.
        has_begun: Whether its function was called.
        is_over: Whether its outcome was told; what comes later is thrown away.
        thread: That prepares and runs it, if it is a plain function.
        is_lost: Whether that was left behind.
    """

    job: ClaimedJob
    place: int
    kick: Callable[[], None] = lambda: None
    deadline: float = inf
    reason: Outcome | None = None
    is_overdue: bool = False
    interrupted_at: float = 0.0
    kicked_at: float = 0.0
    has_begun: bool = False
    is_over: bool = False
    thread: "JobThread | None" = None
    is_lost: bool = False
    _mutex: threading.RLock = field(default_factory=threading.RLock)

    @property
    def token(self) -> str:
        """Of the attempt."""
        return self.job.claim.token

    def prepare_in(self, thread: "JobThread") -> None:
        """Let a thread prepare it, which an import that does not end must not do for ever."""
        self.thread = thread
        self.deadline = self.job.start_at + self.job.longest_seconds + TIMEOUT_MARGIN

    def begin(self) -> bool:
        """Return whether the function may be called now: nobody wants it to end."""
        with self._mutex:
            if self.reason is not None or self.is_over:
                return False
            self.has_begun = True
            self.allow(self.job.timeout)
            return True

    def allow(self, seconds: float) -> None:
        """Let it run so long from now on; 0 or less means for ever."""
        self.deadline = time.monotonic() + seconds if seconds > 0 else inf

    def interrupt(self, reason: Outcome, *, is_overdue: bool = False) -> None:
        """Have the function end; the first reason counts."""
        with self._mutex:
            if self.reason is not None or self.is_over:
                return
            self.reason, self.is_overdue = reason, is_overdue
            self.interrupted_at = self.kicked_at = time.monotonic()
        if self.has_begun:
            self.kick()

    def take_timeout(self) -> bool:
        """Return whether it was interrupted because of its timeout, which it has then heeded."""
        with self._mutex:
            if not self.is_overdue or self.is_over:
                return False
            self.reason, self.is_overdue, self.interrupted_at = None, False, 0.0
            self.deadline = inf
            return True

    def kick_again(self, now: float) -> None:
        """Tell it once more."""
        self.kicked_at = now
        self.kick()

    def finish(self) -> bool:
        """Return whether this is its end, and not that of an attempt that was left behind."""
        with self._mutex:
            was_over, self.is_over = self.is_over, True
            return not was_over
