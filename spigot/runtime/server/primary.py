"""The primary at one address, as this process knows it, and the connections that lead to it.

No lock is held: a process may be forked at any moment, and its child would find it locked.
"""

from functools import cache
from typing import Protocol
from weakref import WeakValueDictionary


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
