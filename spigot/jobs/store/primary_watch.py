"""Asks once a second whether the server is still the primary, for those that only read or wait.

A replica answers reads, and a subscription to one merely hears nothing. This process would read
there for ever if it wrote nothing that is refused; ``primary_connection`` does the rest. Where
sentinels know the primary, it is they who are asked, twice a second: a primary that stands still,
or whose packets are lost, refuses nothing either.
"""

import logging
import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from spigot.runtime.server.redis_connection import lone_connection, sibling
from spigot.runtime.server.sentinel_primary import SentinelPrimary

from . import keys

log = logging.getLogger(__name__)

ASK_SECONDS = 1.0
SENTINEL_SECONDS = 0.5
REPLY_SECONDS = 1.0


def ask_for_writes(redis: Redis) -> None:
    """Return if the server takes writes; nothing is written.

    Raises:
        redis.RedisError: It is away, a replica, full or cut off from its replicas, or it refuses
            this user.
    """
    redis.set(keys.never_written(), 1, xx=True)


class PrimaryWatch:
    """Asks from a thread, on a connection that no other of this process is older than.

    The thread ends soon after ``close``, or after nobody holds this object any more.

    Args:
        redis: Tells how to reach the server.
        is_needed: Whether to ask the server now; called from the thread. None: always. Sentinels
            are asked always.
    """

    def __init__(self, redis: Redis, is_needed: Callable[[], bool] | None = None) -> None:
        self._redis = redis
        self._is_needed = is_needed
        self._closed = threading.Event()
        self._mutex = threading.Lock()
        self._started_in = 0
        self._connection: Any = None
        weakref.finalize(self, self._closed.set)

    def connect(self) -> None:
        """Connect now: whoever connects later need not connect anew once the thread asks.

        Raises:
            redis.RedisError: The server is away.
        """
        if self._connection is None:
            self._connection = self._make_connection()
        if not isinstance(self._connection.primary, SentinelPrimary):
            _connect(self._connection)

    def start(self) -> None:
        """Start the thread, once in each process; returns at once."""
        if self._started_in == os.getpid():
            return
        with self._mutex:
            if self._started_in != os.getpid():
                self._started_in = os.getpid()
                connection = self._connection
                if connection is None or connection.pid != os.getpid():
                    connection = self._make_connection()
                threading.Thread(
                    target=_watch,
                    args=(connection, self._closed, self._is_needed),
                    name="primary-watch",
                    daemon=True,
                ).start()

    def close(self) -> None:
        """End the thread soon."""
        self._closed.set()

    def _make_connection(self) -> Any:
        return lone_connection(sibling(self._redis, timeout=REPLY_SECONDS))


def _watch(connection: Any, closed: threading.Event, is_needed: Callable[[], bool] | None) -> None:
    primary = connection.primary
    if isinstance(primary, SentinelPrimary):
        _watch_by_sentinels(primary, closed)
        return
    while not closed.is_set():
        if is_needed is None or is_needed():
            _ask(connection)
        closed.wait(ASK_SECONDS)
    connection.disconnect()


def _watch_by_sentinels(primary: SentinelPrimary, closed: threading.Event) -> None:
    while not closed.is_set():
        try:
            primary.look()
        except RedisError as error:  # whoever needs the server says so aloud
            log.debug("the primary is not known: %s", error)
        closed.wait(SENTINEL_SECONDS)


def _connect(connection: Any) -> None:
    was_connected = connection.is_connected
    connection.connect()
    if not was_connected:
        connection.begin_term()


def _ask(connection: Any) -> None:
    try:
        _connect(connection)
        connection.send_command("SET", keys.never_written(), 1, "XX")
        connection.read_response()
    except ResponseError as error:  # whoever needs the server says so aloud
        log.debug("the server takes no writes: %s", error)
    except RedisError as error:
        log.debug("the server is away: %s", error)
        connection.disconnect()
