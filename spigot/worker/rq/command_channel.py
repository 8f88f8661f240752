"""Hears RQ's commands to one worker: stop the job, kill the horse, shut down."""

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from redis import Redis
from redis.client import PubSub, PubSubWorkerThread
from redis.exceptions import RedisError

from spigot.worker.running.outcome import one_line

log = logging.getLogger(__name__)

LISTEN_SECONDS = 1.0
"""How soon it notices that another server is the primary; redis-py looks after each wait."""

LISTEN_AGAIN_SECONDS = 0.5


class CommandChannel:
    """Listens in a thread, whatever the server does and whatever it is sent.

    Args:
        redis: Its address; the channel has a connection of its own.
        name: Of the channel.
        obey: Does what a message says; called from the thread.
        patience: Seconds to wait for the end of the thread, which needs the server for that.
        others: Further channels that are heard on the same connection, and what hears them.
    """

    def __init__(
        self,
        redis: Redis,
        name: str,
        obey: Callable[[dict[str, Any]], None],
        patience: float,
        others: Mapping[str, Callable[[dict[str, Any]], None]],
    ) -> None:
        self._redis = redis
        self._channels = {name: obey, **others}
        self._patience = patience
        self._thread: PubSubWorkerThread | None = None

    def open(self) -> None:
        """Listen from now on.

        Raises:
            redis.RedisError: It does not listen yet.
        """
        pubsub = self._redis.pubsub()  # type: ignore[no-untyped-call]
        pubsub.subscribe(**self._channels)
        self._thread = pubsub.run_in_thread(
            sleep_time=LISTEN_SECONDS, daemon=True, exception_handler=_listen_again
        )

    def close(self) -> None:
        """Listen no more.

        Raises:
            redis.RedisError: The server does not answer; the thread ends with the process.
        """
        if self._thread is not None:
            self._thread.stop()  # before its subscription ends, or it would wait for a new one
            self._thread.pubsub.unsubscribe()
            self._thread.join(self._patience)


def _listen_again(error: BaseException, pubsub: PubSub, thread: PubSubWorkerThread) -> None:
    """Take note of what went wrong; redis-py connects and subscribes again by itself."""
    if not isinstance(error, RedisError):
        log.error("a command cannot be obeyed: %s", one_line(error))
    time.sleep(LISTEN_AGAIN_SECONDS)
