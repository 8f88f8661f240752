"""Ends several attempts in one round trip."""

from .end_calls import AttemptEnd
from .lease_answers import Ended
from .lease_store import LeaseStore


class LeaseBatch(LeaseStore):
    """Ends of several attempts, which are written by one round trip.

    What ends an attempt returns None here; ``write`` returns what came of all.
    """

    def __init__(self, leases: LeaseStore) -> None:
        vars(self).update(vars(leases))  # loading its scripts anew would cost more than a call
        self._ends: list[AttemptEnd] = []

    def _end(self, end: AttemptEnd) -> Ended | None:
        self._ends.append(end)
        return None

    def write(self) -> list[Ended | None]:
        """Write them, and return what ``complete`` and ``give_back`` do for each.

        Raises:
            redis.RedisError: It is unknown which were ended; doing all again is safe.
        """
        return self._write(self._ends) if self._ends else []
