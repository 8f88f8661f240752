"""Finds jobs that are in no place, because a script failed half-way or somebody wrote there."""

import logging
import time
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import stored_text
from spigot.jobs.store.times import clock_argument
from spigot.runtime.server.redis_connection import is_away

from .lease_answers import Reaped
from .lease_terms import LeaseTerms

log = logging.getLogger(__name__)

FIRST_SECONDS = 10.0
"""After its start a worker has more urgent things to do."""

PAUSE_SECONDS = 1.0
"""Between two looks, though there is more to do."""

SLICES = 10
"""That one look takes, one after the other; each ends after half a millisecond of the server."""

REFUSED_SECONDS = 600.0
"""After which a server is asked again that refused to run the script."""


class LostJobs:
    """One worker's part in the search for lost jobs: of all workers of a server one searches.

    Args:
        redis: Connection to the server of the queue side.
        worker: Name of the worker.
        terms: Of its leases.
    """

    def __init__(self, redis: Redis, worker: str, terms: LeaseTerms) -> None:
        self._worker = worker
        self._terms = terms
        self._sweep = load_script(redis, __package__, "sweep.lua")
        self._due = time.monotonic() + FIRST_SECONDS

    def look(self) -> Reaped | None:
        """Go on with the search, if that is this worker's part and it is time.

        Returns:
            What was brought back; None if nothing was.

        Raises:
            redis.RedisError: The server did not answer. What was brought back is counted and in
                the result log, but this worker's log does not tell of it.
        """
        if time.monotonic() < self._due:
            return None
        found = Reaped({}, [], 0)
        pause = 0.0
        try:
            for _ in range(SLICES):
                pause = self.look_at_slice(found)
                if pause > 0:
                    break
        except ResponseError as error:
            if is_away(error):
                raise
            log.error("lost jobs cannot be looked for: %s", error)
            pause = REFUSED_SECONDS
        self._due = time.monotonic() + max(PAUSE_SECONDS, pause)
        return found if found.brought_back else None

    def look_at_slice(self, found: Reaped, *, now_us: int | None = None) -> float:
        """Look at some jobs, for at most a millisecond of the server.

        Args:
            found: What was brought back is added to it.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            Seconds until this worker is to look again; 0 if there is more to do at once.

        Raises:
            redis.RedisError: It is unknown what was brought back; all is safe.
        """
        names = [keys.sweep(), keys.missing(), keys.sought()]
        clock = clock_argument(now_us)
        reply: list[Any] = self._sweep(
            keys=names, args=[self._worker, self._terms.lease_ms, self._terms.keep_seconds, clock]
        )
        pause_ms, texts, lines = reply
        found.brought_back.extend(stored_text(text) for text in texts)
        for token, line in zip(lines[::2], lines[1::2], strict=True):
            found.lines[stored_text(token)] = line
        return float(pause_ms) / 1000
