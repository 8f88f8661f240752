"""Connections that are given up once the server behind them is no longer the primary.

After a failover behind an address (a service, a virtual IP, a proxy) new connections lead to the
new primary, while old ones stay open to the old. That one answers as a replica, and healthily: no
client would drop such a connection by itself. Here the first reply that says so ends the *term*
of the primary at that address: whatever was connected in it is connected anew before it is used
again, in every pool of this process.
"""

import os
import re
import socket
import threading
from contextlib import suppress
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol
from weakref import WeakValueDictionary

from redis.connection import AbstractConnection
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

if TYPE_CHECKING:
    from spigot.runtime.sentinels import Sentinels

NOT_PRIMARY_ERRORS = (BusyLoadingError, MasterDownError, ReadOnlyError)
"""What redis-py raises when a replica or a server that is starting answers."""

NOT_PRIMARY_REPLIES = re.compile(r"(^|\s)-?(LOADING|MASTERDOWN|NOREPLICAS|READONLY|UNBLOCKED)\b")
"""The same as error replies, which a script passes on as a plain ``ResponseError``; and those of
a primary that was cut off from its replicas, or that becomes a replica itself."""


def is_not_primary(error: BaseException) -> bool:
    """Return whether ``error`` says that another server may be the primary by now."""
    if isinstance(error, NOT_PRIMARY_ERRORS):
        return True
    return isinstance(error, ResponseError) and bool(NOT_PRIMARY_REPLIES.search(str(error)))


class Severable(Protocol):
    """A connection that another thread may end."""

    def sever(self, term: int) -> None:
        """End the connection if it is of an earlier term."""


class Primary:
    """The primary at one address.

    Attributes:
        term: Counts the primaries that there were.
    """

    def __init__(self) -> None:
        self.term = 0
        self._connections: WeakValueDictionary[int, Severable] = WeakValueDictionary()

    def add(self, connection: Severable) -> None:
        """Take note of a connection that leads here, for as long as it is used."""
        self._connections[id(connection)] = connection

    def end(self, term: int) -> None:
        """End a term, unless it has ended already: many connections find it out at once."""
        self.term = max(self.term, term + 1)

    def sever(self) -> None:
        """End all connections of earlier terms, also those that wait for an answer."""
        for reference in self._connections.valuerefs():
            connection = reference()
            if connection is not None:
                connection.sever(self.term)

    def locate(self) -> tuple[str, int] | None:
        """Return host and port to connect to; None if the connection knows them itself."""
        return None


@cache
def primary_at(host: str | None, port: int | None, path: str | None) -> Primary:
    """Return what all connections of this process to one address share."""
    return Primary()


class _Termed:
    """The part of a connection that knows the term in which it was connected.

    Attributes:
        primary: What it leads to, shared with all connections of this process that do.
    """

    _sock: Any
    pid: int

    def __init__(self, *args: Any, sentinels: "Sentinels | None" = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._closing = threading.RLock()
        self.primary: Primary = self._find_primary(sentinels)
        self._term = self.primary.term
        self.primary.add(self)

    def _find_primary(self, sentinels: "Sentinels | None") -> Primary:
        if sentinels:
            from .sentinel_primary import primary_of  # most servers have none

            return primary_of(sentinels)
        return primary_at(*(getattr(self, name, None) for name in ("host", "port", "path")))

    def begin_term(self) -> None:
        """Have all connections connected anew that may be older than this one."""
        self.primary.end(self._term)
        self._term = self.primary.term

    def should_reconnect(self) -> bool:
        """Return whether its term has ended; asked by redis-py's pools and subscriptions."""
        ended = self._sock is not None and self._term != self.primary.term
        return ended or bool(super().should_reconnect())  # type: ignore[misc]

    def connect_check_health(self, *args: Any, **options: Any) -> None:
        """Connect, or connect anew after a term; called before each use of the connection."""
        if self.should_reconnect():
            self.disconnect()
        if self._sock is None:
            self._locate()
        super().connect_check_health(*args, **options)  # type: ignore[misc]

    def read_response(self, *args: Any, **options: Any) -> Any:
        """Read the response; one of a server that is not the primary ends the term."""
        try:
            return super().read_response(*args, **options)  # type: ignore[misc]
        except RedisError as error:
            if is_not_primary(error):
                self.primary.end(self._term)
            raise

    def disconnect(self, *args: Any, **options: Any) -> None:
        """Close the socket, and none that has its number by then; as redis-py's."""
        if self.pid != os.getpid():  # whatever holds the lock is not in this process
            super().disconnect(*args, **options)  # type: ignore[misc]
            return
        with self._closing:
            super().disconnect(*args, **options)  # type: ignore[misc]

    def sever(self, term: int) -> None:
        """Let whoever waits for an answer of an earlier term hear that there will be none."""
        if self.pid != os.getpid() or not self._closing.acquire(blocking=False):
            return
        try:
            if self._sock is not None and self._term < term:
                with suppress(OSError):  # it has just been closed by the other side
                    # not that of SSLSocket, which ends TLS under the thread that reads
                    socket.socket.shutdown(self._sock, socket.SHUT_RDWR)
        finally:
            self._closing.release()

    def _locate(self) -> None:
        """Take on the present term, and where its primary is."""
        while True:
            self._term = self.primary.term  # before: it may end while this is under way
            place = self.primary.locate()
            if self._term == self.primary.term:
                break
        if place is not None:
            self.host, self.port = place


@cache
def to_primary(connection_class: type[AbstractConnection]) -> type[AbstractConnection]:
    """Return the same kind of connection, but to the primary.

    Args:
        connection_class: Of redis-py, or one that this function returned.
    """
    if issubclass(connection_class, _Termed):
        return connection_class
    return type(f"Primary{connection_class.__name__}", (_Termed, connection_class), {})
