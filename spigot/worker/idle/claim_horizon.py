"""How far ahead of its slot a worker claims a job: as far as it had to lately, and no further.

A slot that nobody has claimed in time is lost for good. A job that was claimed early starts all the
same if the news of a hold does not arrive, and the horizon is the bound of that.
"""

import time
from collections import deque
from collections.abc import Callable
from threading import Lock

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.leaky_bucket import CLAIM_AHEAD_US

SECOND_US = 1_000_000

LEAST_US = 4_000

WAY_US = 2_000
"""From the answer to the function: what a claim takes no part in."""

HEADROOM = 2
"""Times what was needed: the next claim may be slower than the slowest yet, and costs its slot."""

PUNCTUAL_US = 2_000
"""A start that is not later than that was claimed in time."""

MEMORY_SECONDS = 60.0
"""How long a slow claim is remembered: so the horizon grows at once and shrinks slowly."""

PART_SECONDS = 5.0
"""Of each such part of the memory, the largest value is kept."""


class ClaimHorizon:
    """Learns from each claim how long it took, and from each late start how early it should be.

    A worker that has learned nothing in the last minute claims as early as may be.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._parts: deque[tuple[float, int]] = deque()
        self._mutex = Lock()
        self._note(CLAIM_AHEAD_US)

    @property
    def ahead_us(self) -> int:
        """How long before its slot a job may be claimed, ``LEAST_US`` to ``CLAIM_AHEAD_US``."""
        with self._mutex:
            self._forget()
            needed_us = max((us for _, us in self._parts), default=CLAIM_AHEAD_US)
        return max(LEAST_US, min(HEADROOM * needed_us, CLAIM_AHEAD_US))

    def note_claim(self, seconds: float) -> None:
        """Note how long after it was to be sent a question was answered."""
        self._note(round(seconds * SECOND_US) + WAY_US)

    def note_start(self, claim: Claim, late_us: int | None) -> None:
        """Note how late a job started; safe from any thread.

        Args:
            claim: Of the job.
            late_us: After its slot; None if it did not start.
        """
        if late_us is not None and late_us > PUNCTUAL_US:
            self._note(round((claim.start_at - claim.asked_at) * SECOND_US) + late_us)

    def _note(self, needed_us: int) -> None:
        part = self._clock() // PART_SECONDS
        with self._mutex:
            self._forget()
            if self._parts and self._parts[-1][0] == part:
                needed_us = max(needed_us, self._parts.pop()[1])
            self._parts.append((part, needed_us))

    def _forget(self) -> None:
        oldest = (self._clock() - MEMORY_SECONDS) // PART_SECONDS
        while self._parts and self._parts[0][0] < oldest:
            self._parts.popleft()
