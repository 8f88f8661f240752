"""Finds out which place ended its process, or stopped it, from what the process leaves behind."""

from dataclasses import dataclass

from .named_places import places_in
from .pool_process import PoolProcess
from .shared_table import EXIT_PLACE
from .thread_times import Times, busiest, ran_between, thread_times

LEAST_NS = 30_000_000
"""Who has run for less is not named."""


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


def who_keeps_lock(child: PoolProcess, before: Times) -> Culprit:
    """Return who keeps the interpreter's lock.

    Args:
        child: That stands still.
        before: What ``thread_times`` returned when it had begun to.
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


def _busiest_thread(pid: int, before: Times) -> int | None:
    ran = ran_between(before, thread_times(pid))
    thread = busiest(ran)
    return None if thread is None or ran[thread] < LEAST_NS else thread
