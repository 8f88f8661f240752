"""Writes an attempt's progress from a thread, so that the job's function never waits for it."""

import logging
import threading
import time

from redis import Redis
from redis.exceptions import RedisError

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.runtime.server.redis_connection import sibling

log = logging.getLogger(__name__)

INTERVAL_SECONDS = 0.25
"""Between two writes."""

REPLY_SECONDS = 2.0


class ProgressWriter:
    """Writes the last value that was reported, at once and then a few times a second.

    Thread and connection are opened at the first report: most jobs have none.

    Args:
        redis: Whose server is written to, on a connection of its own.
        token: Of the attempt; once that has ended nothing is written any more.
    """

    def __init__(self, redis: Redis, token: str) -> None:
        self.last = ""
        self._redis = redis
        self._token = token
        self._reported = threading.Condition()
        self._unwritten: str | None = None
        self._closed = False
        self._thread: threading.Thread | None = None

    def report(self, progress: str) -> None:
        """Have a value written soon; does not wait."""
        with self._reported:
            self.last = self._unwritten = progress
            self._reported.notify()
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """Write no more; ``last`` is for whoever ends the attempt, in the same script."""
        with self._reported:
            self._closed = True
            self._reported.notify()

    def _run(self) -> None:
        redis = sibling(self._redis, timeout=REPLY_SECONDS)
        write = load_script(redis, __package__, "write_progress.lua")
        while (progress := self._next()) is not None:
            try:
                write(keys=[keys.lease(self._token)], args=[self._token, progress])
            except RedisError as error:
                log.info("progress is not shown, the server does not answer: %s", error)
                self._write_again(progress)
            time.sleep(INTERVAL_SECONDS)
        redis.close()

    def _next(self) -> str | None:
        """Wait for a value to write; None if there is to be no more."""
        with self._reported:
            self._reported.wait_for(lambda: self._unwritten is not None or self._closed)
            progress, self._unwritten = self._unwritten, None
            return None if self._closed else progress

    def _write_again(self, progress: str) -> None:
        with self._reported:
            if self._unwritten is None:
                self._unwritten = progress
