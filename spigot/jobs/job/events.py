"""Hears which jobs changed, from one subscription that outlives the server."""

import logging
import time
from typing import Any

from redis import Redis
from redis.client import PubSub
from redis.exceptions import ConnectionError, RedisError

from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_text

log = logging.getLogger(__name__)

SUBSCRIBE_SECONDS = 2.0
SILENT_SECONDS = 5.0
"""After so long without a word the server is asked whether it is there."""

RETRY_SECONDS = 0.5
MOST_AT_ONCE = 1000


class JobEvents:
    """The ids of changed jobs; used by one thread.

    Args:
        redis: Connection to the server of the queue side; a subscription takes one of its own.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pubsub: PubSub | None = None
        self._heard_at = 0.0
        self._asked = False
        self._away = False

    def wait(self, seconds: float) -> set[str] | None:
        """Wait for jobs to change.

        Args:
            seconds: How long at most, >= 0. While the server is away it is half a second.

        Returns:
            Their ids, none if there was no change. None if changes may have been missed, at the
            first call and after the server was away: whatever is of interest must be read.
        """
        try:
            if self._pubsub is not None and _is_out_of_date(self._pubsub):
                self.close()
            if self._pubsub is None:
                self._pubsub = self._subscribed()
                return None
            return self._heard(self._pubsub, seconds)
        except RedisError as error:
            if not self._away:
                log.warning("changes of jobs are not heard, trying again: %s", error)
            self._away = True
            self.close()
            time.sleep(RETRY_SECONDS)
            return set()

    def close(self) -> None:
        """End the subscription; ``wait`` begins another."""
        if self._pubsub is not None:
            self._pubsub.close()
            self._pubsub = None

    def _subscribed(self) -> PubSub:
        pubsub: PubSub = self._redis.pubsub()  # type: ignore[no-untyped-call]
        try:
            pubsub.subscribe(keys.job_events())
            deadline = time.monotonic() + SUBSCRIBE_SECONDS
            while not _is_confirmation(pubsub.get_message(timeout=SUBSCRIBE_SECONDS)):
                if time.monotonic() > deadline:
                    raise ConnectionError("the server does not confirm the subscription")
        except RedisError:
            pubsub.close()
            raise
        if self._away:
            log.warning("changes of jobs are heard again")
        self._away = self._asked = False
        self._heard_at = time.monotonic()
        return pubsub

    def _heard(self, pubsub: PubSub, seconds: float) -> set[str]:
        ids: set[str] = set()
        message = pubsub.get_message(timeout=seconds)
        while message is not None:
            self._heard_at, self._asked = time.monotonic(), False
            if message["type"] == "message":
                ids.add(stored_text(message["data"]))
            if len(ids) >= MOST_AT_ONCE:
                break
            message = pubsub.get_message(timeout=0)
        self._check_silence(pubsub)
        return ids

    def _check_silence(self, pubsub: PubSub) -> None:
        """Ask a server that says nothing whether it is there; a dead line would stay silent."""
        silent = time.monotonic() - self._heard_at
        if silent > SILENT_SECONDS and not self._asked:
            pubsub.ping()
            self._asked = True
        elif silent > 2 * SILENT_SECONDS:
            raise ConnectionError("the server is silent")


def _is_out_of_date(pubsub: PubSub) -> bool:
    """Return whether another server is the primary by now; this one would just stay silent."""
    connection: Any = pubsub.connection  # which redis-py leaves untyped
    return bool(connection.should_reconnect())


def _is_confirmation(message: dict[str, object] | None) -> bool:
    return message is not None and message["type"] == "subscribe"
