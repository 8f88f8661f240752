"""Writes what attempts use beyond what they reserved."""

from collections.abc import Callable
from functools import partial

from redis import Redis

from spigot.jobs.budgets.report import UsedAmounts
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.times import clock_argument

from .background_writer import BackgroundWriter


class UsageWriter:
    """Writes what is pressing of each attempt that has something, at once.

    Args:
        redis: Whose server is written to, on a connection of its own.
    """

    def __init__(self, redis: Redis) -> None:
        self._writer = BackgroundWriter(redis, "usage", _writing_to)

    def of(self, token: str) -> Callable[[UsedAmounts], None]:
        """Return what has the pressing reports of an attempt written soon; it does not wait."""
        return partial(self._writer.write_soon, token)

    def close(self) -> None:
        """Write no more; whoever ends an attempt tells all that it used."""
        self._writer.close()


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


def _writing_to(redis: Redis) -> Callable[[str, UsedAmounts], object]:
    report = UsageReport(redis)
    return lambda token, used: used.write_pressing(partial(report.write, token))
