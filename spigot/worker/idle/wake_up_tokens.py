"""What idle workers sleep on until there is something to do (``docs/idle-polling.md``)."""

from redis import Redis

from spigot.jobs.bucket.claim_answers import Wait
from spigot.jobs.store import keys
from spigot.runtime.server.redis_connection import is_ready, lone_connection
from spigot.runtime.stop_signals import StopSignals

LATE_SECONDS = 0.11
"""How late the server may end a wait without a wake-up: it looks ten times a second."""

STEP_SECONDS = 1.0
"""How long a poller waits at most before it looks around again."""


class WakeUpTokens:
    """The two wake-up tokens of a bucket, as an idle worker waits for them.

    A worker that has a wait under way is given a token that is put meanwhile, whatever it does: it
    must end the wait before it asks the bucket.

    Args:
        redis: Interruptible connection; its timeout must be longer than any wait.
        bucket: Name of the bucket.
        stop: Breaks into a wait.
    """

    def __init__(self, redis: Redis, bucket: str, stop: StopSignals) -> None:
        self._connection = lone_connection(redis)
        self._stop = stop
        self._wake_up = keys.wake_up(bucket)
        self._standby_wake_up = keys.standby_wake_up(bucket)
        self._is_under_way = False

    def came_within(self, seconds: float, answer: Wait) -> bool:
        """Wait for a wake-up, or for one step of the way to the end of the time.

        Args:
            seconds: What is left of the time that the bucket answered, > 0.
            answer: What the bucket answered.

        Returns:
            Whether the bucket is to be asked at once; else when the time is over.

        Raises:
            redis.RedisError: The server does not answer.
            StopRequested: The worker is to stop.
        """
        if answer.exact:
            if seconds <= LATE_SECONDS:
                self._stop.wait(seconds)
                return False
            seconds -= LATE_SECONDS
        self.begin(min(seconds, STEP_SECONDS) if answer.polling else seconds, answer)
        return self._read() is not None

    def begin(self, seconds: float, answer: Wait) -> None:
        """Begin to wait; returns at once.

        Args:
            seconds: How long, > 0.
            answer: What the bucket answered.

        Raises:
            redis.RedisError: The server does not answer.
        """
        sleeps = [] if answer.polling else [self._standby_wake_up]
        if not is_ready(self._connection):  # the server has closed it since the last wait
            self._connection.disconnect()
        self._connection.connect()
        self._connection.send_command("BLPOP", self._wake_up, *sleeps, seconds)
        self._is_under_way = True

    def is_over_within(self, seconds: float) -> bool:
        """Return whether the wait that was begun is over, by a wake-up or its time.

        Args:
            seconds: How long to wait for that.

        Raises:
            redis.RedisError: The server does not answer.
            StopRequested: The worker is to stop.
        """
        if not self._connection.answers_within(seconds):
            return False
        self._read()
        return True

    def end(self) -> None:
        """End a wait that is under way, so that the next token goes to another worker."""
        if self._is_under_way:
            self._is_under_way = False
            self._connection.disconnect()

    def _read(self) -> object:
        reply: object = self._connection.read_response()
        self._is_under_way = False
        return reply
