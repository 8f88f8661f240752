"""Token bucket: bursts are welcome, the average is not to be exceeded."""

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import ClassVar

from .whole_units import MAX_UNITS, InexactError, plain


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """The numbers of a bucket, and its arithmetic in whole units.

    A unit is such a part of a token that whole units are earned per microsecond. ``decide.lua``
    does the same arithmetic for all processes; this is its twin for one process, and for what is
    told to clients.

    Attributes:
        capacity: Tokens in a full bucket, >= 1.
        pace: Units earned per microsecond, >= 1.
        token: Units of one token, >= 1.
    """

    number: ClassVar[int] = 1
    algorithm: ClassVar[str] = "bucket"

    capacity: int
    pace: int
    token: int

    @classmethod
    def of(cls, capacity: int, refill_rate: Fraction) -> "TokenBucket":
        """Build a bucket that earns ``refill_rate`` tokens per second.

        Raises:
            InexactError: A full bucket has too many units to be counted exactly.
        """
        per_us = refill_rate / 1_000_000
        pace, token = per_us.numerator, per_us.denominator
        if max(capacity * token, pace) > MAX_UNITS:
            raise InexactError(
                f"capacity: {capacity} tokens cannot be counted exactly at this refill_rate, at "
                f"most {MAX_UNITS // token} can; a rate such as 20/m or 1/d needs fewer digits"
            )
        return cls(capacity, pace, token)

    @property
    def quota(self) -> int:
        """Tokens a client may spend at once."""
        return self.capacity

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers as ``rate_limits.json`` writes them."""
        per_second = Fraction(1_000_000 * self.pace, self.token)
        return {"capacity": self.capacity, "refill_rate": plain(per_second)}

    @property
    def full(self) -> int:
        """Units of a full bucket."""
        return self.capacity * self.token

    @property
    def period_us(self) -> int:
        """Microseconds in which an empty bucket fills."""
        return ceil(Fraction(self.full, self.pace))

    def price(self, cost: int) -> int:
        """Units of ``cost`` tokens."""
        return cost * self.token

    def after(self, level: int, pending_us: int, elapsed_us: int) -> tuple[int, int]:
        """Return the level and what is pending ``elapsed_us`` later, if nothing is spent."""
        earned = max(0, elapsed_us - pending_us) * self.pace
        return min(self.full, level + earned), max(0, pending_us - elapsed_us)

    def spent(self, level: int, pending_us: int, price: int) -> tuple[int, int]:
        """Return the level and what is pending once ``price`` units are spent."""
        return level - price, pending_us

    def wait_us(self, level: int, pending_us: int, wanted: int) -> int:
        """Microseconds until there are ``wanted`` units, more than ``level``."""
        return pending_us + (wanted - level + self.pace - 1) // self.pace

    def share(self, processes: int) -> "TokenBucket":
        """Return the bucket that one of ``processes`` keeps alone."""
        return TokenBucket(max(self.capacity // processes, 1), self.pace, self.token * processes)
