"""Keeps watch in the child: deadlines, functions that do not end, and a loop that stands still."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from spigot.worker.running.outcome import Outcome

from .attempt import Attempt, overdue
from .job_loop import PATIENCE_SECONDS, JobLoop
from .job_threads import JobThread, JobThreads
from .shared_table import BEAT, LEFT_BEHIND, WAKE_LATE_US, SharedTable

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.05

AGAIN_SECONDS = 1.0
"""How often a function that must end is told so."""

LATEST_PART = 0.1
"""Of the mean lateness; so it is one of the last half second or so."""

HEED_SECONDS = 5.0
"""How long a function may take to end after it was told; then it is left behind."""


class ChildWatch:
    """Ends what must end.

    Args:
        table: Shared with the parent, which is shown a sign of life.
        attempts: Those that run, by token.
        threads: Run plain functions.
        loop: Runs coroutine functions.
        tell: Tells the parent the outcome of an attempt.
    """

    def __init__(
        self,
        table: SharedTable,
        attempts: dict[str, Attempt],
        threads: JobThreads,
        loop: JobLoop,
        tell: Callable[[Attempt, Outcome], None],
    ) -> None:
        self._table = table
        self._attempts = attempts
        self._threads = threads
        self._loop = loop
        self._tell = tell

    def keep(self) -> None:
        """Keep watch to the end of the process."""
        due = time.monotonic()
        while True:
            now = time.monotonic()
            self._table.beat(BEAT, now)
            self._note_lateness(now - due)
            try:
                self._threads.pass_on()
                for attempt in list(self._attempts.values()):
                    self._look_at(attempt, now)
                if self._loop.is_silent(PATIENCE_SECONDS):
                    self._loop.interrupt_silence()
                self._threads.top_up()
            except Exception:
                log.exception("a look at the running functions failed")
            due = time.monotonic() + LOOK_SECONDS
            time.sleep(LOOK_SECONDS)

    def _note_lateness(self, seconds: float) -> None:
        mean_us = self._table[WAKE_LATE_US]
        self._table[WAKE_LATE_US] = round(mean_us + (seconds * 1_000_000 - mean_us) * LATEST_PART)

    def found(self, thread: JobThread, attempt: Attempt) -> None:
        """Note that a function which was left behind has come to an end."""
        self._table[LEFT_BEHIND] = max(0, self._table[LEFT_BEHIND] - 1)

    def _look_at(self, attempt: Attempt, now: float) -> None:
        if not attempt.has_begun and attempt.thread is None:
            return  # its slot is to come, or the loop stands still, which is looked at by itself
        if attempt.reason is None:
            if now > attempt.deadline:
                attempt.interrupt(overdue(attempt.job), is_overdue=True)
        elif now - attempt.interrupted_at > HEED_SECONDS:
            self._leave_behind(attempt)
        elif now - attempt.kicked_at > AGAIN_SECONDS:
            attempt.kick_again(now)

    def _leave_behind(self, attempt: Attempt) -> None:
        reason, thread = attempt.reason, attempt.thread
        assert reason is not None
        if thread is not None:
            attempt.is_lost = True
            self._threads.lose(thread)
        self._table[LEFT_BEHIND] += 1
        log.warning("job %s does not end and is left behind: %s", attempt.job.id, reason.summary)
        self._tell(attempt, replace(reason, error=f"{reason.error}; it was left behind"))
