"""Hears RQ's commands to one worker (stop the job, kill the horse, shut down), and of holds."""

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from socket import SHUT_RDWR
from typing import Any

from redis import Redis
from redis.client import PubSub, PubSubWorkerThread
from redis.exceptions import RedisError

from spigot.jobs.store import keys
from spigot.worker.running.hold_news import HoldNews
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
        patience: Seconds to wait for the end of the thread, which may wait for the server.
        hold_news: Hears of holds on the same connection.
    """

    def __init__(
        self,
        redis: Redis,
        name: str,
        obey: Callable[[dict[str, Any]], None],
        patience: float,
        hold_news: HoldNews,
    ) -> None:
        self._redis = redis
        self._channels = {name: obey, keys.holds(): hold_news.hear}
        self._hold_news = hold_news
        self._patience = patience
        self._thread: PubSubWorkerThread | None = None

    def open(self) -> None:
        """Listen from now on.

        Raises:
            redis.RedisError: It does not listen yet.
        """
        pubsub = _Subscription(self._redis, self._hold_news)
        pubsub.begin(self._channels)
        self._thread = pubsub.run_in_thread(
            sleep_time=LISTEN_SECONDS, daemon=True, exception_handler=_listen_again
        )

    def close(self) -> None:
        """Listen no more; a thread that waits for the server to come back ends with the process."""
        if self._thread is None:
            return
        self._thread.stop()  # before its subscription ends, or it would wait for a new one
        self._thread.pubsub.end()
        self._thread.join(self._patience)
        self._hold_news.close()


class _Subscription(PubSub):
    """Lets the news of holds look at what has come, each time before it is read.

    Args:
        redis: Its address.
        hold_news: Looks.
    """

    def __init__(self, redis: Redis, hold_news: HoldNews) -> None:
        super().__init__(redis.connection_pool)
        self._hold_news = hold_news
        self._has_gap = False
        self._is_ending = False

    def begin(self, channels: Mapping[str, Callable[[dict[str, Any]], None]]) -> None:
        """Subscribe; redis-py takes note of ``on_connect`` only once it is connected."""
        self.subscribe(**channels)
        self._show(self.connection)

    def end(self) -> None:
        """Have the thread that reads come back at once; from another thread.

        That one must not use the connection otherwise: both might find it lost and connect anew.
        """
        self._is_ending = True
        socket = self.connection and self.connection._sock
        if socket is not None:
            with suppress(OSError):  # it is lost
                socket.shutdown(SHUT_RDWR)

    def on_connect(self, connection: Any) -> None:
        """Subscribe again, and look at what comes there."""
        super().on_connect(connection)
        self._has_gap = True
        self._show(connection)

    def parse_response(self, block: bool = True, timeout: float = 0) -> Any:
        """Return the next message; None if none comes within ``timeout`` seconds."""
        connection: Any = self.connection

        def read() -> Any:
            if not self._has_come(connection, timeout):
                return None
            message = connection.read_response(disconnect_on_error=False, push_request=True)
            self._end_gap(message)
            return message

        # in one go: between two, redis-py may connect anew, and drop what has come
        return self._execute(connection, read)  # type: ignore[no-untyped-call]

    def _has_come(self, connection: Any, seconds: float) -> bool:
        """Wait for something to read."""
        try:
            has_come = bool(connection.can_read(timeout=seconds))
        except RedisError:
            if self._is_ending:  # that is why the connection is lost
                return False
            raise
        self._hold_news.look()
        return has_come

    def _end_gap(self, message: Any) -> None:
        """Once the server says that holds are heard again, one may have been missed."""
        if self._has_gap and message[:2] == [b"subscribe", keys.holds().encode()]:
            self._has_gap = False
            self._hold_news.note_gap()

    def _show(self, connection: Any) -> None:
        self._hold_news.listen_on(connection._sock)


def _listen_again(error: BaseException, pubsub: PubSub, thread: PubSubWorkerThread) -> None:
    """Take note of what went wrong; redis-py connects and subscribes again by itself."""
    if not isinstance(error, RedisError):
        log.error("a command cannot be obeyed: %s", one_line(error))
    time.sleep(LISTEN_AGAIN_SECONDS)
