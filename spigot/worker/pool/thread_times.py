"""How long the threads of a process ran, and which of them ran most."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ThreadTime:
    """How long a thread ran, and how long it could have run but for others, in nanoseconds."""

    ran: int
    waited: int


Times = dict[int, ThreadTime]
"""By number of the thread."""


def thread_times(pid: int) -> Times:
    """Return how long each thread ran and waited for a processor; nothing but on Linux."""
    times = {}
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(OSError, ValueError):
            ran, waited, _ = map(int, path.read_text().split())
            times[int(path.parent.name)] = ThreadTime(ran, waited)
    return times


def ran_between(before: Times, after: Times) -> dict[int, int]:
    """Return for how many nanoseconds each thread ran; 0 for one that is new."""
    return {thread: times.ran - before.get(thread, times).ran for thread, times in after.items()}


def busiest(ran: dict[int, int]) -> int | None:
    """Return the thread that ran longest; None if there is none."""
    return max(ran, key=lambda thread: ran[thread], default=None)
