"""Warns of a function that computes instead of waiting: all others of its process wait for it.

Two things must be seen together. The child's own watch comes round late, as every thread does
that must ask for the interpreter's lock behind one that keeps it. And one thread had most of what
the process ran, for the same job, from one look to the next.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from .culprit import place_of
from .named_places import places_in
from .pool_process import PoolProcess
from .shared_table import WAKE_LATE_US
from .thread_times import ThreadTime, Times, busiest, ran_between, thread_times

log = logging.getLogger(__name__)

LOOK_SECONDS = 1.0
"""A job that computes for less than one to two of these is not named."""

LATE_US = 400
"""Just below the time after which a thread of a pool gives the lock away (``SWITCH_SECONDS``)."""

SHARE = 0.4
"""Of the time, and of what its process ran; two jobs that compute have half of each."""

SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class _Seen:
    """What the last look at a child saw.

    Attributes:
        at: Monotonic seconds of it.
        times: Of its threads; empty if they were not looked at.
        job: That computed, as people name it.
        warned: The last one that was told of.
    """

    at: float
    times: Times = field(default_factory=dict)
    job: str = ""
    warned: str = ""


class ComputingJobs:
    """Looks for them, and names each once.

    Args:
        name_of: Returns the job in a place of a child, for people.
        times_of: Returns how long each thread of a process ran.
    """

    def __init__(
        self,
        name_of: Callable[[PoolProcess, int | None], str],
        times_of: Callable[[int], Times] | None = None,
    ) -> None:
        self._name_of = name_of
        self._times_of = times_of or thread_times
        self._seen: dict[PoolProcess, _Seen] = {}

    def look(self, children: list[PoolProcess], now: float | None = None) -> None:
        """Look at all of them; call it several times a second."""
        now = time.monotonic() if now is None else now
        self._seen = {child: seen for child, seen in self._seen.items() if child in children}
        for child in children:
            seen = self._seen.setdefault(child, _Seen(now))
            if now - seen.at >= LOOK_SECONDS:
                self._look_at(child, seen, now)

    def _look_at(self, child: PoolProcess, seen: _Seen, now: float) -> None:
        late_us = child.table[WAKE_LATE_US]
        times = self._times_of(child.pid) if late_us >= LATE_US else {}
        thread = _busiest(seen.times, times, now - seen.at) if seen.times else None
        job = "" if thread is None else self._job_of(child, thread)
        if job and job == seen.job and job != seen.warned:
            seen.warned = job
            log.warning(
                "pool process %d: %s computes, and makes others start %.1f ms late; let a forking "
                "worker run it",
                child.pid,
                job,
                late_us / 1000,
            )
        seen.at, seen.times, seen.job = now, times, job

    def _job_of(self, child: PoolProcess, thread: int) -> str:
        """Return the job that a thread runs now; "" if it runs none."""
        if thread == child.pid:  # the loop, which has many
            place = next(iter(places_in(child.stack_of(thread))), None)
        else:
            place = place_of(child, thread)
        return "" if place is None else self._name_of(child, place)


def _busiest(before: Times, after: Times, seconds: float) -> int | None:
    """Return the thread that had most of the time and of the process; None for none."""
    ran = ran_between(before, after)
    thread = busiest(ran)
    if thread is None or ran[thread] < SHARE * sum(ran.values()):
        return None
    waited = before.get(thread, ThreadTime(0, 0)).waited
    wanted = ran[thread] + after[thread].waited - waited
    return thread if wanted >= SHARE * seconds * SECOND_NS else None
