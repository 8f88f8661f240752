"""Writes what attempts tell while they run, from a thread: no function waits for the server."""

import logging
import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

from redis import Redis
from redis.exceptions import RedisError

from spigot.runtime.server.redis_connection import sibling

log = logging.getLogger(__name__)

REPLY_SECONDS = 2.0

RETRY_SECONDS = 0.25
"""After a value that could not be written."""

Value = TypeVar("Value")


class BackgroundWriter(Generic[Value]):
    """Writes the last value of each attempt; while the server is away, until it is back.

    Thread and connection are opened at the first value: most jobs have none.

    Args:
        redis: Whose server is written to, on a connection of its own.
        name: What is written, in one word.
        writing_to: Returns what writes a value of the attempt with that token; it may raise
            ``RedisError``.
        pause_seconds: Between two rounds.
    """

    def __init__(
        self,
        redis: Redis,
        name: str,
        writing_to: Callable[[Redis], Callable[[str, Value], object]],
        *,
        pause_seconds: float = 0.0,
    ) -> None:
        self._redis = redis
        self._name = name
        self._writing_to = writing_to
        self._pause_seconds = pause_seconds
        self._told = threading.Condition()
        self._unwritten: dict[str, Value] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    def write_soon(self, token: str, value: Value) -> None:
        """Have a value written soon, in place of one that is not written yet; does not wait."""
        with self._told:
            self._unwritten[token] = value
            self._told.notify()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                self._thread.start()

    def forget(self, token: str) -> None:
        """Write nothing more of an attempt, which has ended."""
        with self._told:
            self._unwritten.pop(token, None)

    def close(self) -> None:
        """Write no more; whoever ends an attempt tells all in the same script."""
        with self._told:
            self._closed = True
            self._told.notify()

    def _run(self) -> None:
        with sibling(self._redis, timeout=REPLY_SECONDS) as redis:
            write = self._writing_to(redis)
            while values := self._next():
                time.sleep(self._pause_seconds if self._write(values, write) else RETRY_SECONDS)

    def _write(self, values: dict[str, Value], write: Callable[[str, Value], object]) -> bool:
        """Write values, keep those that the server does not take; return whether it took all."""
        while values:
            token = next(iter(values))
            try:
                write(token, values[token])
            except RedisError as error:
                log.info("%s is not written, the server does not answer: %s", self._name, error)
                with self._told:
                    self._unwritten = values | self._unwritten
                return False
            del values[token]
        return True

    def _next(self) -> dict[str, Value]:
        """Wait for something to write; nothing if there is to be no more."""
        with self._told:
            self._told.wait_for(lambda: bool(self._unwritten) or self._closed)
            unwritten, self._unwritten = self._unwritten, {}
            return {} if self._closed else unwritten
