"""The bell: what idle workers sleep on until there is something to do."""

from redis import Redis

from spigot.jobs.bucket.leaky_bucket import Wait
from spigot.jobs.store import keys
from spigot.worker.process.stop_signals import StopSignals

LATE_SECONDS = 0.11
"""How late the server may end a wait that nobody rang for: it looks ten times a second."""

STEP_SECONDS = 1.0
"""How long one that watches the bucket waits at most before it looks around again."""


class Bell:
    """Wakes one idle worker of a bucket when a job comes or a number changes.

    Args:
        redis: Interruptible connection; its timeout must be longer than any wait.
        bucket: Name of the bucket.
        stop: Breaks into a wait.
    """

    def __init__(self, redis: Redis, bucket: str, stop: StopSignals) -> None:
        self._redis = redis
        self._stop = stop
        self._bell = keys.bell(bucket)
        self._deputy_bell = keys.deputy_bell(bucket)

    def rings(self, answer: Wait, seconds: float) -> bool:
        """Wait for the bell, or for one step of the way to the end of the time.

        Args:
            answer: What the bucket answered.
            seconds: What is left of its time, > 0.

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
        if answer.watching:
            return self._rings_within(min(seconds, STEP_SECONDS), [self._bell])
        return self._rings_within(seconds, [self._bell, self._deputy_bell])

    def _rings_within(self, seconds: float, bells: list[str]) -> bool:
        return self._redis.blpop(bells, timeout=seconds) is not None
