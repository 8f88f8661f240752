"""Writes the progress of attempts, as their functions report it."""

from collections.abc import Callable
from dataclasses import dataclass

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script

from .background_writer import BackgroundWriter

INTERVAL_SECONDS = 0.25
"""Between two writes."""


@dataclass(slots=True)
class AttemptProgress:
    """What one attempt reports.

    Attributes:
        token: Of the attempt; once that has ended nothing is written any more.
        writer: Of all attempts of the process.
        last: JSON of what was reported last; "" if nothing was.
    """

    token: str
    writer: BackgroundWriter[str]
    last: str = ""

    def report(self, progress: str) -> None:
        """Have a value written soon; does not wait."""
        self.last = progress
        self.writer.write_soon(self.token, progress)

    def close(self) -> None:
        """Write no more; ``last`` is for whoever ends the attempt, in the same script."""
        if self.last:
            self.writer.forget(self.token)


class ProgressWriter:
    """Writes the last value of each attempt that reported, at once and then a few times a second.

    Args:
        redis: Whose server is written to, on a connection of its own.
    """

    def __init__(self, redis: Redis) -> None:
        self._writer = BackgroundWriter(
            redis, "progress", _writing_to, pause_seconds=INTERVAL_SECONDS
        )

    def of(self, token: str) -> AttemptProgress:
        """Return what takes the reports of one attempt."""
        return AttemptProgress(token, self._writer)

    def close(self) -> None:
        """Write no more of any."""
        self._writer.close()


def _writing_to(redis: Redis) -> Callable[[str, str], object]:
    script = load_script(redis, __package__, "write_progress.lua")
    return lambda token, progress: script(keys=[keys.lease(token)], args=[token, progress])
