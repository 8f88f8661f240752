"""The clocks of the door, so that tests can set them."""

import time


class Clock:
    """The real ones."""

    def monotonic_us(self) -> int:
        """Microseconds since some time, for what a process does alone."""
        return time.monotonic_ns() // 1000

    def server_us(self) -> int | None:
        """Unix time in microseconds to decide on; None: the server looks at its own clock."""
        return None
