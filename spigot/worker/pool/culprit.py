"""Finds out which place ended its process, or stopped it, from what the process leaves behind."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .named_places import places_in
from .pool_process import PoolProcess
from .shared_table import EXIT_PLACE

LEAST_TICKS = 3
"""Of a hundredth of a second: who has run for less is not named."""


@dataclass(frozen=True, slots=True)
class Culprit:
    """Who stops a process.

    Attributes:
        place: That of the function; None if it is unknown.
        stack: What the thread that stops it does; "" if it is unknown.
    """

    place: int | None
    stack: str


def who_ended(child: PoolProcess) -> int | None:
    """Return the place whose function ended the process by itself; None without evidence.

    A crash leaves the stack of its thread, which has the name of the place in it, and ``os._exit``
    its place in the shared table. A process that was killed leaves nothing.
    """
    if child.table[EXIT_PLACE]:
        return child.table[EXIT_PLACE] - 1
    return next(iter(places_in(child.crash_report)), None)


def who_keeps_lock(child: PoolProcess, before: dict[int, int]) -> Culprit:
    """Return who keeps the interpreter's lock.

    Args:
        child: That stands still.
        before: What ``processor_ticks`` returned when it had begun to.
    """
    thread = _busiest_thread(child.pid, before)
    return Culprit(None, "") if thread is None else _runs_in(child, thread)


def who_keeps_loop(child: PoolProcess) -> Culprit:
    """Return whose coroutine the event loop runs."""
    return _runs_in(child, child.pid)


def place_of(child: PoolProcess, thread: int) -> int | None:
    """Return the place whose plain function one of its threads runs; None for none."""
    places = range(child.places)
    return next((place for place in places if child.table.thread_id(place) == thread), None)


def _runs_in(child: PoolProcess, thread: int) -> Culprit:
    stack = child.stack_of(thread)
    noted = None if thread == child.pid else place_of(child, thread)  # the loop has many
    return Culprit(next(iter(places_in(stack)), noted), stack)


def _busiest_thread(pid: int, before: dict[int, int]) -> int | None:
    used = {
        thread: ticks - before.get(thread, ticks) for thread, ticks in processor_ticks(pid).items()
    }
    busiest = max(used, key=lambda thread: used[thread], default=None)
    return None if busiest is None or used[busiest] < LEAST_TICKS else busiest


def processor_ticks(pid: int) -> dict[int, int]:
    """Return how long each thread has run; nothing where there is no ``/proc``."""
    ticks = {}
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(OSError, ValueError):
            fields = stat.read_text().rpartition(")")[2].split()
            ticks[int(stat.parent.name)] = int(fields[11]) + int(fields[12])
    return ticks
