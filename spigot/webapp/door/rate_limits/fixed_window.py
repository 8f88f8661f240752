"""Fixed window: so many in a stretch of time, which begins with the first."""

from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from .whole_units import MAX_UNITS, InexactError, plain


@dataclass(frozen=True, slots=True)
class FixedWindow:
    """The numbers of a window, and its arithmetic; a unit is one of the quota.

    ``decide.lua`` does the same arithmetic for all processes; this is its twin for one process,
    and for what is told to clients.

    Attributes:
        limit: What may be spent in one window, >= 1.
        window_us: Microseconds that it stays open, >= 1.
    """

    number: ClassVar[int] = 2
    algorithm: ClassVar[str] = "window"
    token: ClassVar[int] = 1

    limit: int
    window_us: int

    @classmethod
    def of(cls, limit: int, window: Fraction) -> "FixedWindow":
        """Build a window of ``window`` seconds.

        Raises:
            InexactError: It is no whole number of microseconds, or too many.
        """
        window_us = window * 1_000_000
        if window_us.denominator != 1 or window_us > MAX_UNITS:
            raise InexactError("window: must be a whole number of microseconds, below 2^53")
        return cls(limit, window_us.numerator)

    @property
    def quota(self) -> int:
        """What may be spent in one window."""
        return self.limit

    @property
    def numbers(self) -> dict[str, float]:
        """The numbers as ``rate_limits.json`` writes them."""
        return {"limit": self.limit, "window": plain(Fraction(self.window_us, 1_000_000))}

    @property
    def full(self) -> int:
        """Units of a window in which nothing is spent."""
        return self.limit

    @property
    def pace(self) -> int:
        """What ``decide.lua`` is told about time: the window's length."""
        return self.window_us

    @property
    def period_us(self) -> int:
        """Microseconds that a window stays open."""
        return self.window_us

    def price(self, cost: int) -> int:
        """Units of ``cost``."""
        return cost

    def after(self, level: int, pending_us: int, elapsed_us: int) -> tuple[int, int]:
        """Return the level and what is pending ``elapsed_us`` later, if nothing is spent."""
        if elapsed_us >= pending_us:
            return self.limit, 0
        return level, pending_us - elapsed_us

    def spent(self, level: int, pending_us: int, price: int) -> tuple[int, int]:
        """Return the level and what is pending once ``price`` units are spent."""
        return level - price, pending_us or self.window_us

    def wait_us(self, level: int, pending_us: int, wanted: int) -> int:
        """Microseconds until there are ``wanted`` units, more than ``level``."""
        return pending_us

    def share(self, processes: int) -> "FixedWindow":
        """Return the window that one of ``processes`` keeps alone."""
        return FixedWindow(max(self.limit // processes, 1), self.window_us)
