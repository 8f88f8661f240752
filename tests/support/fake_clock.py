"""A clock that stands still until a test moves it."""

from spigot.webapp.door.rate_limits.clock import Clock

from .clocked_limiter import START


class FakeClock(Clock):
    """Tells the time of the process and of the server."""

    def __init__(self) -> None:
        self._passed_us = 0

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._passed_us += round(seconds * 1_000_000)

    def monotonic_us(self) -> int:
        """Microseconds of this process."""
        return self._passed_us

    def server_us(self) -> int:
        """Unix time of the server."""
        return START + self._passed_us
