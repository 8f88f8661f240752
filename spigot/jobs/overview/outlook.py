"""What a bucket has reached, and when its next jobs start."""

from math import inf

from spigot.jobs.bucket.state import BucketState
from spigot.jobs.store.times import unix_us

from .history import CELL_SECONDS
from .number_texts import clock_text, span_text
from .reading import BucketView

NOBODY_KNOWS = "\N{EN DASH}"
PACE_CELLS = 12
"""The pace is that of the last minute, or of ten intervals if that is longer."""


def pace_of(view: BucketView) -> float:
    """Return how many jobs a second started in the last minute, or the last ten intervals."""
    wanted = max(PACE_CELLS, round(10 * view.state.interval / CELL_SECONDS))
    past = view.history[-1 - wanted : -1]
    into_cell = view.now_us / 1_000_000 % CELL_SECONDS
    starts = sum(cell.starts for cell in past) + view.history[-1].starts
    return starts / (len(past) * CELL_SECONDS + into_cell)


def places_of(view: BucketView) -> int:
    """Return how many jobs of the bucket can run at once."""
    limit = view.state.max_running
    return min(view.state.concurrency, limit) if limit else view.state.concurrency


def hold_left(view: BucketView) -> float:
    """Return for how many seconds more the bucket is held."""
    until = view.state.held_until
    return max(0.0, (unix_us(until) - view.now_us) / 1_000_000) if until else 0.0


def seconds_until_start(view: BucketView, position: int) -> float:
    """Return in how many seconds the job at a position starts; infinite if nobody knows."""
    state = view.state
    if state.paused or not state.workers:
        return inf
    leak_us = unix_us(state.next_leak_at) if state.next_leak_at else view.now_us
    slot = max(0, leak_us - view.now_us) / 1_000_000 + (position - 1) * _interval(state)
    places = places_of(view)
    behind = max(0, position - max(0, places - state.running))
    if not behind:
        return slot
    return max(slot, view.runs.wait_for_places(behind, places) if places else inf)


def _interval(state: BucketState) -> float:
    """Return the seconds between two starts that rate and budgets allow in the long run."""
    spent = (
        (budget.used_mean if budget.counted == "unknown" else None)
        or budget.reserved_mean
        or budget.cost
        or 0
        for budget in state.budgets.values()
    )
    needed = zip(spent, state.budgets.values(), strict=True)
    return max(state.interval, *(cost / it.limit_per_second for cost, it in needed), 0)


def next_start(view: BucketView) -> str:
    """Return when the next job starts."""
    state = view.state
    if state.paused:
        return "when resumed"
    if not state.workers:
        return "no worker"
    if state.held_until:
        return f"in {clock_text(hold_left(view))}"
    if state.waiting and state.running >= places_of(view):
        return "when one ends"
    if state.waits_for and not state.next_leak_at:
        return "when one ends"
    seconds = seconds_until_start(view, 1)
    return f"in {span_text(seconds)}" if seconds > 0.05 else "at once"


def empty_in(view: BucketView) -> str:
    """Return in how long nothing waits any more, if nothing more comes."""
    if not view.state.waiting:
        return "empty"
    seconds = seconds_until_start(view, view.state.waiting)
    if seconds == inf:
        return NOBODY_KNOWS
    is_exact = places_of(view) > view.state.running
    return clock_text(seconds) if is_exact else f"about {clock_text(seconds)}"


def sent_now(view: BucketView, seconds: float) -> str:
    """Return what becomes of a job that is sent now.

    Args:
        view: The bucket.
        seconds: Until it starts; infinite if nobody knows.
    """
    state = view.state
    if state.draining:
        return "is refused: it accepts no new jobs"
    if state.waiting >= state.capacity:
        return "is refused: the bucket is full"
    if state.paused:
        return "waits until the bucket is resumed"
    if seconds == inf:
        return "waits for a worker"
    return f"starts in about {clock_text(seconds)}" if seconds >= 1 else "starts at once"
