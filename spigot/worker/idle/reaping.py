"""What an idle worker does for others: it reaps their leases, and looks for lost jobs."""

import time
from collections.abc import Callable

from spigot.worker.leases.lease_answers import Reaped
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lost_jobs import LostJobs

REAP_SECONDS = 1.5
"""How often each poller reaps."""

REAPED_MS = 500
"""Least time between two reaps of a bucket by any worker. REAP_SECONDS + REAPED_MS must stay below
``LEAST_OUTAGE_MS``, or one skipped reap looks like an outage."""


class Reaping:
    """Takes jobs from silent workers, and brings back those that are in no place.

    Args:
        leases: Of the bucket.
        lost_jobs: Of the server, on the same connection.
        on_found: Finishes what dead workers left undone.
    """

    def __init__(
        self, leases: LeaseStore, lost_jobs: LostJobs, on_found: Callable[[Reaped], None]
    ) -> None:
        self._leases = leases
        self._lost_jobs = lost_jobs
        self._on_found = on_found
        self._reaped_at = -REAP_SECONDS
        self._has_more = False

    @property
    def has_more(self) -> bool:
        """Whether the last reap left something to do, or to tell the server."""
        return self._has_more

    @property
    def is_due(self) -> bool:
        """Whether a poller is to reap now."""
        return self._has_more or time.monotonic() - self._reaped_at >= REAP_SECONDS

    def note_reap_of_others(self, seconds_ago: float) -> None:
        """Take note that some worker of the bucket has reaped."""
        self._reaped_at = max(self._reaped_at, time.monotonic() - seconds_ago)

    def reap(self) -> None:
        """Reap, unless somebody has just done so and nothing was left.

        Raises:
            redis.RedisError: What was found is found again.
        """
        fresh_ms = 0 if self._has_more else REAPED_MS
        self._has_more, self._reaped_at = False, time.monotonic()
        found = self._leases.reap(fresh_ms=fresh_ms)
        self._on_found(found)
        self._has_more = found.more

    def look_for_lost_jobs(self) -> None:
        """Go on with the search, if that is this worker's part.

        Raises:
            redis.RedisError: As ``LostJobs.look``.
        """
        if found := self._lost_jobs.look():
            self._on_found(found)
