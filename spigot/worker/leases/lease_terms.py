"""How long leases stand, how often they are renewed, and when a job has had its chances."""

from dataclasses import dataclass

RETURN_MS = 1000
"""How long workers take to renew their leases after the server's return."""

LEAST_OUTAGE_MS = 3000
"""An idle worker gives a sign of life every two seconds: a shorter time without any would be
taken for an outage where it is the only worker of its bucket."""

CONTACT_SECONDS = 2.5
"""Between two signs of life of those that poll a bucket or hold leases, at most."""

SHORTEST_SLEEP = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseTerms:
    """What the leases of a worker are subject to.

    Attributes:
        lease_ms: How long a lease stands without renewal, >= 1.
        max_reaps: A job reaped that often is abandoned, >= 1.
        keep_seconds: How long a cancelled job is kept, >= 1.
        max_refusals: A job that its downstream refused that often, while others of its bucket
            passed, fails, >= 1.
    """

    lease_ms: int
    max_reaps: int
    keep_seconds: int
    max_refusals: int = 20

    @property
    def tick_seconds(self) -> float:
        """How often leases are to be renewed and silent workers looked for."""
        return min(2.0, self.lease_ms / 5000)

    @property
    def sleep_seconds(self) -> float:
        """Longest sleep of a worker that neither polls nor holds a lease.

        If all others die at once, it must wake before the quiet is long enough to count as an
        outage, in which leases are extended instead of reaped.
        """
        return max(SHORTEST_SLEEP, self.outage_threshold_ms / 1000 - CONTACT_SECONDS)

    @property
    def outage_threshold_ms(self) -> int:
        """Time without any sign of life after which leases are extended instead of reaped.

        A shorter quiet leaves every holder the time to come back and renew.
        """
        longest_ms = self.lease_ms - round(self.tick_seconds * 1000) - RETURN_MS
        return max(LEAST_OUTAGE_MS, longest_ms)
