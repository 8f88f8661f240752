"""Connections to the server, and what counts as the server being away."""

import re
from typing import Any

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import (
    BusyLoadingError,
    ConnectionError,
    OutOfMemoryError,
    ReadOnlyError,
    ResponseError,
    TimeoutError,
)
from redis.retry import Retry

AWAY_ERRORS = (BusyLoadingError, ConnectionError, OutOfMemoryError, ReadOnlyError, TimeoutError)
"""What redis-py raises while a server is unreachable, silent, starting, full or a replica."""

AWAY_REPLIES = re.compile(
    r"\b(BUSY|LOADING|MASTERDOWN|MISCONF|NOREPLICAS|OOM|READONLY|UNBLOCKED)\b"
)
"""The same as error replies, which a script passes on as a plain ``ResponseError``; and those of
a server that runs another's script, lacks its replicas, or becomes a replica itself."""


def connect(url: str, *, timeout: float, **options: Any) -> Redis:
    """Return a client that fails after ``timeout`` instead of trying again by itself.

    No connection is opened yet. redis-py's default retries would turn a deadline of 0.1 s into
    4 s, and would send a script twice.

    Args:
        url: Such as ``redis://localhost:6379/0``.
        timeout: Seconds, for connecting and for each reply.
        **options: Passed on to ``redis.Redis``.
    """
    return Redis.from_url(
        url,
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        retry=Retry(NoBackoff(), 0),
        **options,
    )


def sibling(redis: Redis, *, timeout: float, connection_class: type[Any] | None = None) -> Redis:
    """Return a client of the same server with connections and a timeout of its own.

    Args:
        redis: Whose address, database and credentials are taken over.
        timeout: Seconds, for connecting and for each reply.
        connection_class: Of redis-py, for the same kind of address; None takes the same.
    """
    pool = redis.connection_pool
    options = {
        **pool.connection_kwargs,
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 0),
    }
    return Redis(
        connection_pool=ConnectionPool(connection_class or pool.connection_class, **options)
    )


def is_away(error: BaseException) -> bool:
    """Return whether ``error`` says that the server cannot serve now, but may soon."""
    if isinstance(error, AWAY_ERRORS):
        return True
    return isinstance(error, ResponseError) and bool(AWAY_REPLIES.search(str(error)))
