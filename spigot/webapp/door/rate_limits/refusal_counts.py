"""Who is refused most: counted in each process, added up in Redis at most once a second.

The counts are kept by periods of five minutes, each with a bounded number of clients, so that
neither a flood nor a rotation of addresses grows them. They are for people: a second that cannot be
written is lost, and the request never waits for them.
"""

import logging
import time
from collections import Counter
from collections.abc import Callable
from threading import Lock, Thread
from urllib.parse import quote

from redis import Redis, RedisError

from . import keys

log = logging.getLogger(__name__)

INTERVAL = 1.0
"""Seconds between two writes of a process, at least."""

PERIOD_SECONDS = 300
PERIODS = 12
"""How many are added up: an hour."""

MAX_CLIENTS = 1000
"""How many are kept, by a process between two writes and in Redis per period."""


class RefusalCounts:
    """Counts refusals in one process and hands them on.

    A thread writes; it starts with a refusal and ends when there are no more, so that a fork
    finds none running.

    Args:
        write: Adds counts by ``(client, rule)`` to the total; called at most once a second.
        sleep: Waits for seconds.
    """

    def __init__(
        self,
        write: Callable[[Counter[tuple[str, str]]], None],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._write = write
        self._sleep = sleep
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = Lock()
        self._thread: Thread | None = None

    def add(self, client: str, rule: str) -> None:
        """Count one refusal."""
        refused = client, rule
        with self._lock:
            if refused in self._counts or len(self._counts) < MAX_CLIENTS:
                self._counts[refused] += 1
            if self._thread is None or not self._thread.is_alive():
                self._thread = Thread(target=self._write_all, name="refusal-counts", daemon=True)
                self._thread.start()

    def _write_all(self) -> None:
        while counts := self._take():
            self._write(counts)
            self._sleep(INTERVAL)

    def _take(self) -> Counter[tuple[str, str]]:
        with self._lock:
            counts, self._counts = self._counts, Counter()
            if not counts:
                self._thread = None
            return counts


def write_refusals(redis: Redis, counts: Counter[tuple[str, str]], prefix: str = "") -> None:
    """Add counts by ``(client, rule)`` to this period's; a server that is away loses them."""
    period = keys.refusals(int(time.time() // PERIOD_SECONDS), prefix)
    with redis.pipeline() as pipeline:
        for (client, rule), count in counts.items():
            pipeline.zincrby(period, count, f"{quote(rule, safe='')} {client}")
        pipeline.zremrangebyrank(period, 0, -MAX_CLIENTS - 1)
        pipeline.expire(period, (PERIODS + 1) * PERIOD_SECONDS)
        try:
            pipeline.execute()
        except RedisError as error:
            log.debug("refusals of the last second are not counted: %s", error)
