"""Circuit breaker: a server that fails is left alone for a while."""

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

PAUSE_US = 500_000
"""Microseconds between two attempts to reach a server that is away."""

QUIET_US = 1_000_000
"""Microseconds between two outages that are logged: a server near its deadline comes and goes."""


class CircuitBreaker:
    """Lets calls through until one fails, then one per pause until one succeeds.

    Threads may share it: a race costs one call more, and no lock is held while calling.

    Args:
        monotonic_us: Clock in microseconds.
    """

    def __init__(self, monotonic_us: Callable[[], int]) -> None:
        self._monotonic_us = monotonic_us
        self._retry_at_us: int | None = None
        self._log_from_us = 0
        self._is_logged = False

    def lets_through(self) -> bool:
        """Return whether the server may be called now."""
        if self._retry_at_us is None:
            return True
        now_us = self._monotonic_us()
        if now_us < self._retry_at_us:
            return False
        self._retry_at_us = now_us + PAUSE_US
        return True

    def succeeded(self) -> None:
        """Note that the server answered."""
        self._retry_at_us = None
        if self._is_logged:
            self._is_logged = False
            log.info("the server of the rate limits answers again")

    def failed(self, error: Exception) -> None:
        """Note that a call failed."""
        now_us = self._monotonic_us()
        self._retry_at_us = now_us + PAUSE_US
        if not self._is_logged and now_us >= self._log_from_us:
            self._is_logged = True
            self._log_from_us = now_us + QUIET_US
            log.warning("the server of the rate limits is away, on_error decides: %s", error)
