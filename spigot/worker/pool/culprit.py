"""Finds out which place ended its process, or stopped it, from what the process left behind."""

import re
from contextlib import suppress
from pathlib import Path

from .named_places import places_in
from .pool_process import PoolProcess
from .shared_table import EXIT_PLACE

LEAST_TICKS = 3
"""Of a hundredth of a second: who has run for less is not named."""


def who_ended(child: PoolProcess) -> int | None:
    """Return the place whose function ended the process by itself; None without evidence.

    A crash leaves the stack of its thread, which has the name of the place in it, and ``os._exit``
    its place in the shared table. A process that was killed leaves nothing.
    """
    if child.table[EXIT_PLACE]:
        return child.table[EXIT_PLACE] - 1
    return next(iter(places_in(child.crash_report)), None)


def who_keeps_lock(child: PoolProcess, before: dict[int, int]) -> int | None:
    """Return the place whose function keeps the interpreter's lock; None if that is unknown.

    Args:
        child: That stands still.
        before: What ``processor_ticks`` returned when it had begun to.
    """
    thread = _busiest_thread(child.pid, before)
    if thread is None:
        return None
    if thread == child.pid:  # the loop's: its stack was written
        return who_keeps_loop(child)
    return next(
        (place for place in range(child.places) if child.table.thread_id(place) == thread), None
    )


def who_keeps_loop(child: PoolProcess) -> int | None:
    """Return the place whose coroutine the event loop runs; None for none."""
    return next(iter(places_in(child.loop_stack)), None)


def stack_of(child: PoolProcess, place: int | None) -> str:
    """Return the stack that runs a place, or the loop's."""
    if place is not None:
        for part in re.split(r"\n(?=Thread 0x|Current thread)", child.stacks):
            if place in places_in(part):
                return part
    return child.loop_stack


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
