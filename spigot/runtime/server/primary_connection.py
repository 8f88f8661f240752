"""Connections that are given up once the server behind them is no longer the primary.

After a failover behind an address (a service, a virtual IP, a proxy) new connections lead to the
new primary, while old ones stay open to the old. That one answers as a replica, and healthily: no
client would drop such a connection by itself. Here the first reply that says so ends the *term*
of the primary at that address: whatever was connected in it is connected anew before it is used
again, in every pool of this process.
"""

import re
import threading
from functools import cache
from typing import Any

from redis.connection import AbstractConnection
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

NOT_PRIMARY_ERRORS = (BusyLoadingError, MasterDownError, ReadOnlyError)
"""What redis-py raises when a replica or a server that is starting answers."""

NOT_PRIMARY_REPLIES = re.compile(r"(^|\s)-?(LOADING|MASTERDOWN|NOREPLICAS|READONLY|UNBLOCKED)\b")
"""The same as error replies, which a script passes on as a plain ``ResponseError``; and those of
a primary that was cut off from its replicas, or that becomes a replica itself."""


class Primary:
    """The primary at one address, as this process knows it.

    Attributes:
        term: Counts the primaries that there were.
    """

    def __init__(self) -> None:
        self.term = 0
        self._mutex = threading.Lock()

    def end(self, term: int) -> None:
        """End a term, unless it has ended already: many connections find it out at once."""
        with self._mutex:
            if self.term == term:
                self.term += 1


@cache
def primary_at(host: str | None, port: int | None, path: str | None) -> Primary:
    """Return what all connections of this process to one address share."""
    return Primary()


def is_not_primary(error: BaseException) -> bool:
    """Return whether ``error`` says that another server may be the primary by now."""
    if isinstance(error, NOT_PRIMARY_ERRORS):
        return True
    return isinstance(error, ResponseError) and bool(NOT_PRIMARY_REPLIES.search(str(error)))


class _Termed:
    """The part of a connection that knows the term in which it was connected."""

    _sock: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        address = (getattr(self, name, None) for name in ("host", "port", "path"))
        self._primary = primary_at(*address)
        self._term = self._primary.term

    def begin_term(self) -> None:
        """Have all connections connected anew that may be older than this one."""
        self._primary.end(self._term)
        self._term = self._primary.term

    def should_reconnect(self) -> bool:
        """Return whether its term has ended; asked by redis-py's pools and subscriptions."""
        ended = self._sock is not None and self._term != self._primary.term
        return ended or bool(super().should_reconnect())  # type: ignore[misc]

    def connect_check_health(self, *args: Any, **options: Any) -> None:
        """Connect, or connect anew after a term; called before each use of the connection."""
        if self.should_reconnect():
            self.disconnect()  # type: ignore[attr-defined]
        if self._sock is None:
            self._term = self._primary.term  # before: it may end while this is under way
        super().connect_check_health(*args, **options)  # type: ignore[misc]

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read the response; one of a server that is not the primary ends the term."""
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except RedisError as error:
            if is_not_primary(error):
                self._primary.end(self._term)
            raise


@cache
def to_primary(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return the same kind of connection, but to the primary.

    Args:
        connection_class: Of redis-py, or one that this function returned.
    """
    if issubclass(connection_class, _Termed):
        return connection_class
    return type(f"Primary{connection_class.__name__}", (_Termed, connection_class), {})
