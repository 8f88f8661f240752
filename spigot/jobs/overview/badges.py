"""The words for how a bucket is, each with a sentence that gives number and cause.

The ranks, words and colours are those of a table that says what needs a person first: ranks 1 to 3
need somebody; 4 to 7 are slower than they could be, by a wish or by themselves; the rest is well.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spigot.jobs.bucket.state import BucketState
from spigot.runtime.count_text import count_text

from .history import CELL_SECONDS
from .number_texts import (
    ago_text,
    clock_text,
    number_text,
    rate_text,
    span_text,
    unit_of,
)
from .outlook import PACE_CELLS, hold_left, pace_of, places_of
from .reading import BucketView

Tone = Literal["bad", "warn", "ok", "soft"]

NEEDS_SOMEBODY = 3
"""The last rank that does."""

IDLE = 9
FEWEST_FAILURES = 3

LONGER = 1.5
"""A job that runs is said to take longer than the past ones from so many times their mean on."""


@dataclass(frozen=True, slots=True)
class Badge:
    """One word for how a bucket is.

    Attributes:
        rank: 1 to 9, the lower the more urgent.
        word: One or two words.
        mark: Name of the shape beside it.
        tone: Its colour.
        sentence: Number and cause, and the way out if there is one.
        public: The same for a stranger; "" if it is the same.
    """

    rank: int
    word: str
    mark: str
    tone: Tone
    sentence: str
    public: str = ""


def badges_of(view: BucketView) -> Iterator[Badge]:
    """Yield all that hold, in any order; one at least."""
    state = view.state
    if state.lacks_worker:
        public = f"{_without_worker(state)} and no worker is alive."
        way_out = f"Start one: spigot worker {state.name}"
        yield Badge(1, "no worker", "tri", "bad", f"{public} {way_out}", public)
    if state.waiting >= state.capacity:
        public = f"Full: {count_text(state.capacity, 'job')} may wait, so new ones are refused."
        so_far = f": {count_text(view.refused, 'job')} in the last hour." if view.refused else "."
        yield Badge(2, "full", "full", "bad", public.removesuffix(".") + so_far, public)
    if view.failed_recently >= max(FEWEST_FAILURES, view.finished_recently):
        ended = view.failed_recently + view.finished_recently
        sentence = f"{view.failed_recently:,} of the last {ended:,} jobs failed."
        yield Badge(3, "failing", "cross", "bad", sentence)
    yield from _stops(view)
    if state.waiting or not state.paused:
        yield _flow(view)


def _without_worker(state: BucketState) -> str:
    """Return how many jobs wait for a worker, and how many have lost theirs."""
    told = ""
    if waiting := state.waiting + state.delayed:
        told = f"{count_text(waiting, 'job waits', 'jobs wait')},"
    if not state.running:
        return told
    return f"{told} {count_text(state.running, 'job')} had begun,".lstrip()


def _stops(view: BucketView) -> Iterator[Badge]:
    state = view.state
    if state.held_until or state.probing:
        yield _hold(view)
    if state.paused:
        who = _who(view, "paused")
        room = count_text(max(0, state.capacity - state.waiting), "more fits", "more fit")
        waits = bool(state.waiting)
        yield Badge(
            5 if waits else IDLE, "paused", "bars", "warn" if waits else "soft",
            f"paused{who}. New jobs are accepted: {room}.",
            f"paused. New jobs are accepted: {room}.",
        )  # fmt: skip
    if state.draining:
        who = _who(view, "draining")
        sentence = f"accepts no new jobs; {count_text(state.waiting, 'is left', 'are left')}."
        yield Badge(6, "draining", "down", "warn", f"draining{who}: {sentence}", sentence)


def _hold(view: BucketView) -> Badge:
    state = view.state
    reason = (state.hold_reason or "").removeprefix("RateLimited: ")
    spent = "Its quota is spent: " if state.hold_kind == "quota" else ""
    if not state.held_until:
        asks = f"{spent}one job at a time asks the downstream whether it serves again"
        return Badge(4, "asking", "clock", "warn", f"{asks}: {reason}", f"{asks}.")
    left = f"{spent}held {clock_text(hold_left(view))} more"
    reason = f"{reason.removesuffix('.')}."
    public = f"{left}: its downstream asked for it."
    return Badge(4, "held", "clock", "warn", f"{left}: {reason}", public)


def _flow(view: BucketView) -> Badge:
    state, pace = view.state, pace_of(view)
    unit = unit_of(state.rate)
    if not state.waiting:
        if state.running or pace * PACE_CELLS * CELL_SECONDS >= 1:
            running = f"; {state.running:,} run" if state.running else ""
            sentence = f"nothing waits longer than its turn{running}."
            return Badge(8, "keeps up", "drop", "ok", sentence)
        return Badge(IDLE, "idle", "ring", "soft", f"nothing waits{_last_start(view)}.")
    if state.waits_for:
        return _budget(view, state.waits_for)
    places, configured = places_of(view), 1 / state.interval
    carried = view.runs.carried(places) if view.runs.expected and places else pace
    if state.running >= places and carried < 0.95 * configured:
        return _narrow(view, places, carried)
    every = span_text(state.interval)
    sentence = f"one start each {every}, as configured: {rate_text(configured, unit)}."
    return Badge(8, "at its rate", "drop", "ok", sentence)


def _budget(view: BucketView, name: str) -> Badge:
    state, budget = view.state, view.state.budgets[name]
    unit, configured = unit_of(state.rate), 1 / state.interval
    spent = f"{number_text(budget.level)} of {number_text(budget.burst)} are spent"
    held = f" and {number_text(budget.held)} held by running jobs" if budget.held else ""
    taken = budget.reserved_mean or budget.cost
    each = f", recent jobs took {number_text(taken)} each" if taken else ""
    carries = f"{rate_text(pace_of(view), unit)} of {rate_text(configured, unit)}"
    used = f"{spent}{held}{each}"
    sentence = f"the next job waits for {name}: {used}, {budget.limit} refill, so {carries}."
    more = f" If more is granted: spigot bucket budget {state.name} {name} LIMIT"
    return Badge(7, "budget", "narrow", "warn", sentence + more, sentence)


def _narrow(view: BucketView, places: int, carried: float) -> Badge:
    state = view.state
    unit, configured = unit_of(state.rate), 1 / state.interval
    carries = f"{rate_text(carried, unit)} of {rate_text(configured, unit)}"
    run = _runs(view)
    one_more = 1 / view.runs.expected if view.runs.expected else carried / max(1, places)
    more = rate_text(min(configured, carried + one_more), unit)
    if state.max_running and places >= state.max_running:
        taken = count_text(state.max_running, "place is taken", "places are taken")
        sentence = (
            f"{state.running:,} of {taken} by {run}, so {carries}. "
            f"One place more would carry {more}."
        )
        return Badge(7, "places taken", "narrow", "warn", sentence)
    workers = count_text(state.workers, "worker is", "workers are all")
    sentence = f"{workers} busy with {run}, so {carries}."
    more = f" One more would carry {more}: spigot worker {state.name}"
    return Badge(7, "workers busy", "narrow", "warn", sentence + more, sentence)


def _runs(view: BucketView) -> str:
    """Return which jobs hold the places: how long past ones ran, and what a running one shows."""
    runs = view.runs
    past = f"jobs of {span_text(runs.past)}" if runs.past else "long jobs"
    if runs.longest <= LONGER * runs.past:
        return past
    return f"{past}, one of which has run for {span_text(runs.longest)}"


def _last_start(view: BucketView) -> str:
    if not view.last_start_us:
        return "; no job has started yet"
    ago = span_text(max(0, view.now_us - view.last_start_us) / 1_000_000)
    return f"; the last job started {ago} ago"


def _who(view: BucketView, field: str) -> str:
    """Return who set a switch last, and when; "" if that is not known."""
    for record in view.changes:
        if isinstance(record["changes"], dict) and field in record["changes"]:
            return f" by {record['by']} {ago_text(record['at'], view.now_us)}"
    return ""
