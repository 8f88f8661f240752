"""A client of the server whose waits end at once when the worker is to stop.

The signal handler only takes note; here is where it is heeded. A handler that raises would do so
in the midst of redis-py's or hiredis' code, which then crashes now and then, or swallows it.
"""

from typing import Any

from redis import Redis
from redis.exceptions import TimeoutError

from spigot.runtime.server.redis_connection import sibling
from spigot.runtime.stop_signals import StopRequested, StopSignals


def interruptible(redis: Redis, stop: StopSignals, *, timeout: float) -> Redis:
    """Return a client of the same server, for calls that may be left without an answer.

    Its calls raise ``StopRequested`` when the worker is to stop. Only for the main thread.

    Args:
        redis: Whose address, database and credentials are taken over.
        stop: What signals said.
        timeout: Seconds, for connecting and for each reply.
    """
    base: Any = redis.connection_pool.connection_class

    class InterruptibleConnection(base):  # type: ignore[misc]
        """Waits for an answer and for signals, whichever comes first."""

        def answers_within(self, seconds: float) -> bool:
            """Wait until there is something to read."""
            return self.can_read(0) or stop.wait_readable(self._sock, seconds)

        def read_response(self, *args: Any, **options: Any) -> Any:
            """Read the response; as redis-py's."""
            try:
                if not self.answers_within(timeout):
                    raise TimeoutError("Timeout reading from socket")
            except (StopRequested, TimeoutError):
                self.disconnect()  # or the answer would be taken for that to the next call
                raise
            return super().read_response(*args, **options)

    return sibling(redis, timeout=timeout, connection_class=InterruptibleConnection)
