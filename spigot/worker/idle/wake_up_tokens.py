"""What idle workers sleep on until there is something to do (``docs/idle-polling.md``)."""

from redis import Redis

from spigot.jobs.bucket.leaky_bucket import Wait
from spigot.jobs.store import keys
from spigot.runtime.stop_signals import StopSignals

LATE_SECONDS = 0.11
"""How late the server may end a wait without a wake-up: it looks ten times a second."""

STEP_SECONDS = 1.0
"""How long a poller waits at most before it looks around again."""


class WakeUpTokens:
    """The two wake-up tokens of a bucket, as an idle worker waits for them.

    Args:
        redis: Interruptible connection; its timeout must be longer than any wait.
        bucket: Name of the bucket.
        stop: Breaks into a wait.
    """

    def __init__(self, redis: Redis, bucket: str, stop: StopSignals) -> None:
        self._redis = redis
        self._stop = stop
        self._wake_up = keys.wake_up(bucket)
        self._standby_wake_up = keys.standby_wake_up(bucket)

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
        if answer.polling:
            return self._take(min(seconds, STEP_SECONDS), [self._wake_up])
        return self._take(seconds, [self._wake_up, self._standby_wake_up])

    def _take(self, seconds: float, tokens: list[str]) -> bool:
        return self._redis.blpop(tokens, timeout=seconds) is not None
