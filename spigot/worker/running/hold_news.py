"""When a worker last heard that its bucket is held, for those who are about to start a job.

A job is claimed a little ahead of its slot. If the downstream refuses another one meanwhile, the
bucket is held, and whoever holds a claim is told: the job goes back, uncounted, instead of
asking a downstream that has just said no.
"""

import mmap
import time

from spigot.jobs.bucket.leaky_bucket import Claim

SECOND_US = 1_000_000


class HoldNews:
    """One time, in memory that this process shares with those that it forks."""

    def __init__(self) -> None:
        self._word = memoryview(mmap.mmap(-1, 8)).cast("q")

    def note(self) -> None:
        """Note that the bucket is held from now on; from any thread or forked process."""
        self._word[0] = round(time.monotonic() * SECOND_US)

    def came_after(self, claim: Claim) -> bool:
        """Return whether the bucket was held after a job was asked for, so that it must wait.

        Whoever asked later was told of the hold, and got a job only once it was over.
        """
        return self._word[0] / SECOND_US > claim.asked_at
