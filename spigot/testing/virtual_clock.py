"""The clock of the server in memory, which waits for nobody."""

import time as real_time


class VirtualClock:
    """Runs with the real clock, and is set forward where a worker would wait.

    It stands in for the module ``time`` where the server in memory reads its clock.
    """

    def __init__(self) -> None:
        self._ahead = 0.0

    def time(self) -> float:
        """Return Unix seconds."""
        return real_time.time() + self._ahead

    def pass_by(self, seconds: float) -> None:
        """Let time pass.

        Args:
            seconds: How much; none if it is negative.
        """
        self._ahead += max(0.0, seconds)
