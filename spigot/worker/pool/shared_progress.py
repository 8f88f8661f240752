"""Writes the progress of all attempts of a pool: one thread, one connection."""

import threading
import time
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import RedisError

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.runtime.server.redis_connection import sibling
from spigot.worker.running import progress_writer
from spigot.worker.running.progress_writer import INTERVAL_SECONDS, REPLY_SECONDS, log


class SharedProgress:
    """Writes the last value of each attempt that reported, a few times a second.

    Thread and connection are opened at the first report.

    Args:
        redis: Whose server is written to, on a connection of its own.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reported = threading.Condition()
        self._unwritten: dict[str, str] = {}
        self._thread: threading.Thread | None = None

    def of(self, token: str) -> "AttemptProgress":
        """Return what takes the reports of one attempt."""
        return AttemptProgress(token, self)

    def write_soon(self, token: str, progress: str) -> None:
        """Have a value written soon; does not wait."""
        with self._reported:
            self._unwritten[token] = progress
            self._reported.notify()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
                self._thread.start()

    def forget(self, token: str) -> None:
        """Write nothing more of an attempt, which has ended."""
        with self._reported:
            self._unwritten.pop(token, None)

    def _run(self) -> None:
        redis = sibling(self._redis, timeout=REPLY_SECONDS)
        write = load_script(redis, progress_writer.__package__, "write_progress.lua")
        while True:
            for token, progress in self._next().items():
                try:
                    write(keys=[keys.lease(token)], args=[token, progress])
                except RedisError as error:
                    log.info("progress is not shown, the server does not answer: %s", error)
                    break
            time.sleep(INTERVAL_SECONDS)

    def _next(self) -> dict[str, str]:
        with self._reported:
            self._reported.wait_for(lambda: bool(self._unwritten))
            unwritten, self._unwritten = self._unwritten, {}
            return unwritten


@dataclass(slots=True)
class AttemptProgress:
    """What one attempt reports.

    Attributes:
        token: Of the attempt.
        writer: Of the pool.
        last: JSON of what was reported last; "" if nothing was.
    """

    token: str
    writer: SharedProgress
    last: str = ""

    def report(self, progress: str) -> None:
        """Have a value written soon; does not wait."""
        self.last = progress
        self.writer.write_soon(self.token, progress)

    def close(self) -> None:
        """Write no more; ``last`` is for whoever ends the attempt."""
        self.writer.forget(self.token)
