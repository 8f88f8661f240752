"""How long to wait before a child process is started again."""

from dataclasses import dataclass


@dataclass(slots=True)
class Backoff:
    """How long to wait before a child is started again: twice as long after each failure.

    Attributes:
        first: Seconds before the first restart.
        longest: Seconds it never exceeds.
        steady: A child that ran for so many seconds begins anew at ``first``.
    """

    first: float = 1.0
    longest: float = 30.0
    steady: float = 60.0
    _next: float = 0.0

    def delay_after(self, ran_for: float) -> float:
        """Return the seconds to wait after a run of ``ran_for`` seconds."""
        delay = self.first if ran_for >= self.steady else max(self._next, self.first)
        self._next = min(2 * delay, self.longest)
        return delay
