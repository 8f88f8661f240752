"""Connections to the server, and what counts as the server being away."""

import re
from functools import cache
from typing import Any

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    ConnectionError,
    OutOfMemoryError,
    RedisError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

from spigot.runtime.server_address import parse_server_url

from .primary_connection import is_not_primary, to_primary

LONGEST_CONNECT_SECONDS = 1.0
"""After which the sentinels are asked again for a primary that takes no connection."""

AWAY_ERRORS = (ConnectionError, OutOfMemoryError, TimeoutError)
"""What redis-py raises while a server is unreachable, silent or full."""

AWAY_REPLIES = re.compile(r"\b(BUSY|MISCONF|OOM)\b")
"""The same as error replies, which a script passes on as a plain ``ResponseError``; and that of a
server that runs another's script."""


def connect(url: str, *, timeout: float, **options: Any) -> Redis:
    """Return a client that fails after ``timeout`` instead of trying again by itself.

    No connection is opened yet. redis-py's default retries would turn a deadline of 0.1 s into
    4 s, and would send a script twice.

    Args:
        url: Such as ``redis://localhost:6379/0``, or of sentinels.
        timeout: Seconds, for connecting and for each reply.
        **options: Passed on to redis-py's connections.

    Raises:
        ServerUrlError: The URL cannot be used.
    """
    return _client({**parse_server_url(url), **options}, timeout)


def sibling(redis: Redis, *, timeout: float, connection_class: type[Any] | None = None) -> Redis:
    """Return a client of the same server with connections and a timeout of its own.

    Args:
        redis: Whose address, database and credentials are taken over.
        timeout: Seconds, for connecting and for each reply.
        connection_class: Of redis-py, for the same kind of address; None takes the same.
    """
    pool = redis.connection_pool
    chosen = connection_class or pool.connection_class
    return _client({**pool.connection_kwargs, "connection_class": chosen}, timeout)


def lone_connection(redis: Redis) -> Any:
    """Return a connection to the same server, not connected yet, that no pool counts.

    A pool makes a hundred, and of those that it did not lend it never hears the end.
    """
    pool: Any = redis.connection_pool  # whose connections redis-py leaves untyped
    return pool.connection_class(**pool.connection_kwargs)


def is_ready(connection: Any) -> bool:
    """Return whether it is connected, to the primary, and the server said nothing since."""
    try:
        return connection.is_connected and not (
            connection.should_reconnect() or connection.can_read(0)
        )
    except RedisError:  # the server has closed it
        return False


def _client(options: dict[str, Any], timeout: float) -> Redis:
    longest = LONGEST_CONNECT_SECONDS if "sentinels" in options else timeout
    ours = {
        "connection_class": to_primary(options["connection_class"]),
        "socket_timeout": timeout,
        "socket_connect_timeout": min(timeout, longest),
        "retry": Retry(NoBackoff(), 0),
    }
    return Redis.from_pool(ConnectionPool(**_driver_info() | options | ours))


@cache
def _driver_info() -> dict[str, Any]:
    """Return who redis-py says that it is, which it would look up for each connection anew.

    That takes a millisecond and more, as long as the rest of a connection, and each work horse
    makes one.
    """
    try:
        from redis import DriverInfo
    except ImportError:  # of redis-py before 7.1
        return {}
    return {"driver_info": DriverInfo()}


def is_away(error: BaseException) -> bool:
    """Return whether ``error`` says that the server cannot serve now, but may soon."""
    if isinstance(error, AWAY_ERRORS) or is_not_primary(error):
        return True
    return isinstance(error, ResponseError) and bool(AWAY_REPLIES.search(str(error)))
