"""Writes what attempts use beyond what they reserved, from a thread: no function waits for it."""

import logging
import threading
from collections.abc import Callable

from redis import Redis
from redis.exceptions import RedisError

from spigot.jobs.budgets.report import UsedAmounts
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.times import clock_argument
from spigot.runtime.server.redis_connection import sibling

log = logging.getLogger(__name__)

REPLY_SECONDS = 2.0


class UsageWriter:
    """Writes what is pressing of each attempt that has something, at once.

    Thread and connection are opened at the first: most jobs have none.

    Args:
        redis: Whose server is written to, on a connection of its own.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._told = threading.Condition()
        self._unwritten: dict[str, UsedAmounts] = {}
        self._closed = False
        self._thread: threading.Thread | None = None

    def of(self, token: str) -> Callable[[UsedAmounts], None]:
        """Return what has the pressing reports of an attempt written soon; it does not wait."""

        def tell(used: UsedAmounts) -> None:
            with self._told:
                self._unwritten[token] = used
                self._told.notify()
                if self._thread is None and not self._closed:
                    self._thread = threading.Thread(target=self._run, name="usage", daemon=True)
                    self._thread.start()

        return tell

    def close(self) -> None:
        """Write no more; whoever ends an attempt tells all that it used."""
        with self._told:
            self._closed = True
            self._told.notify()

    def _run(self) -> None:
        with sibling(self._redis, timeout=REPLY_SECONDS) as redis:
            report = UsageReport(redis)
            while reports := self._next():
                for token, used in reports.items():
                    try:
                        used.write_pressing(lambda *said, token=token: report.write(token, *said))
                    except RedisError as error:
                        log.info("use is charged at the attempt's end, no answer now: %s", error)

    def _next(self) -> dict[str, UsedAmounts]:
        """Wait for something to write; nothing if there is to be no more."""
        with self._told:
            self._told.wait_for(lambda: bool(self._unwritten) or self._closed)
            unwritten, self._unwritten = self._unwritten, {}
            return {} if self._closed else unwritten


class UsageReport:
    """The script that charges a running attempt, in one round trip.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._script = load_script(redis, __package__, "report_usage.lua")

    def write(self, token: str, used: str, noted: str = "", now_us: int | None = None) -> bool:
        """Charge what was used beyond the reservation, and note what the downstream said.

        Args:
            token: Of the attempt.
            used: All that it used, as scripts read amounts.
            noted: What its downstream said, likewise.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            Whether the attempt still runs.

        Raises:
            redis.RedisError: It is unknown whether it was written; writing it again is safe.
        """
        args = [token, used, noted, clock_argument(now_us)]
        return bool(self._script(keys=[keys.lease(token)], args=args))
