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
from typing import Any

from redis.connection import AbstractConnection
from redis.exceptions import (
    BusyLoadingError,
    MasterDownError,
    ReadOnlyError,
    RedisError,
    ResponseError,
)

from spigot.runtime.sentinels import Sentinels

from .primary import Primary, primary_at
from .sentinel_primary import primary_of

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


class _Termed:
    """The part of a connection that knows the term in which it was connected.

    Attributes:
        primary: What it leads to, shared with all connections of this process that do.
    """

    _sock: Any
    pid: int

    def __init__(self, *args: Any, sentinels: Sentinels | None = None, **options: Any) -> None:
        super().__init__(*args, **options)
        self._closing = threading.RLock()
        address = (getattr(self, name, None) for name in ("host", "port", "path"))
        self.primary: Primary = primary_of(sentinels) if sentinels else primary_at(*address)
        self._term = self.primary.term
        self.primary.add(self)

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
