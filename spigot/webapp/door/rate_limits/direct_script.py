"""Runs a script with little between it and the socket: the round trip is most of the door's cost.

redis-py opens the connections and reads the replies. Its pool and its retries are left out: what
is tried again after the deadline comes too late, and by redis-py alone the same round trip took
1.7 times as long and more on two busy cores (``python benchmarks/door.py``).
"""

from collections import deque
from collections.abc import Sequence
from hashlib import sha1
from os import getpid
from typing import Any, NewType

import hiredis
from redis import ConnectionError, Redis
from redis.exceptions import NoScriptError

from spigot.jobs.store.script_text import script_text
from spigot.runtime.server.redis_connection import lone_connection

Packed = NewType("Packed", bytes)
"""A call of the script as it goes over the wire."""


class DirectScript:
    """One script, with connections of its own; threads and forked processes may share it.

    Args:
        redis: Tells how to connect, and how long to wait for each reply.
        package: Dotted package that holds the script.
        filename: Of the script.
    """

    def __init__(self, redis: Redis, package: str, filename: str) -> None:
        text = script_text(package, filename)
        self._sha = sha1(text.encode(), usedforsecurity=False).hexdigest()
        self._load = hiredis.pack_command(("SCRIPT", "LOAD", text))  # type: ignore[arg-type]
        self._redis = redis
        self._idle: deque[Any] = deque()

    def pack(self, keys: Sequence[str], args: Sequence[str | int | bytes]) -> Packed:
        """Return a call that ``run`` can send any number of times."""
        command: Any = ("EVALSHA", self._sha, len(keys), *keys, *args)
        return Packed(hiredis.pack_command(command))

    def run(self, call: Packed) -> Any:
        """Run the script once.

        Raises:
            redis.RedisError: It is not known whether the script ran.
        """
        connection = self._take()
        try:
            reply = _ask(connection, call)
        except NoScriptError:  # the server was restarted, or its scripts were flushed
            _ask(connection, self._load)
            reply = _ask(connection, call)
        self._idle.append(connection)
        return reply

    def disconnect_idle(self) -> None:
        """Close the connections that no call is using."""
        idle, self._idle = self._idle, deque()
        for connection in idle:
            connection.disconnect()

    def _take(self) -> Any:
        while True:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = lone_connection(self._redis)
                connection.connect()
                return connection
            if connection.pid == getpid() and not _is_stale(connection):
                return connection


def _ask(connection: Any, packed: bytes) -> Any:
    connection.send_packed_command((packed,), check_health=False)
    return connection.read_response()


def _is_stale(connection: Any) -> bool:
    """Return whether the server has closed the connection, or said what nobody asked.

    Or whether another server is the primary by now.
    """
    try:
        return bool(connection.should_reconnect() or connection.can_read(0))
    except ConnectionError:
        return True
