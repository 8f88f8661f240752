"""A worker's coming and going, as its bucket and RQ see it."""

from collections.abc import Callable
from functools import partial

from redis import Redis

from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.bucket.file import BucketFile
from spigot.jobs.store.server_rights import RightsError, check_rights
from spigot.runtime.stop_signals import StopRequested, StopSignals
from spigot.worker.process.redis_availability import RedisAvailability
from spigot.worker.rq.registration import NameTakenError, RqRegistration


class Presence:
    """Shows a worker up in its bucket and in RQ.

    Args:
        redis: Connection that no signal interrupts.
        bucket: Name of the bucket.
        buckets: The buckets' numbers, which the first worker publishes.
        registration: The worker among those of RQ.
        availability: Waits for the server.
        stop: What signals said.
        waits: Whether ends wait for replicas, for which the server's user needs a right more.
    """

    def __init__(
        self,
        redis: Redis,
        bucket: str,
        buckets: BucketFile,
        registration: RqRegistration,
        availability: RedisAvailability,
        stop: StopSignals,
        waits: bool = False,
    ) -> None:
        self._redis = redis
        self._check_rights = partial(check_rights, redis, waits=waits)
        self._bucket = bucket
        self._buckets = buckets
        self._registration = registration
        self._availability = availability
        self._stop = stop

    def begin(self, listen: Callable[[], None]) -> bool:
        """Show up as soon as there is a server.

        Args:
            listen: Begins to hear RQ's commands.

        Returns:
            False if a signal came first.

        Raises:
            SystemExit: Another worker has this one's name, or the server's user lacks rights.
        """
        try:
            for step in (self._check_rights, self.show_up, listen):
                if not self._stop.requested:
                    self._availability.retry_until_answered(
                        step, give_up=lambda: self._stop.requested
                    )
        except (NameTakenError, RightsError) as error:
            raise SystemExit(str(error)) from error
        except StopRequested:
            return False
        return True

    def show_up(self) -> None:
        """Tell a server, which may have been emptied, what it must know; harmless to repeat.

        Raises:
            SystemExit: A newer version wrote the bucket.
            redis.RedisError: It must be told again.
        """
        try:
            self._buckets.publish(self._redis, [self._bucket])
        except NewerBucketError as error:
            raise SystemExit(str(error)) from error
        self._registration.write()
