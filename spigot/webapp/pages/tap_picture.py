"""Draws a bucket: the comb of its starts under its rate, what waits below, and what is planned.

Left of *now* is what happened, right of it what is planned: 5 px are 15 s on both sides, on the
same axis for all buckets. Everything is a path or a text, so a page is updated by setting
attributes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from spigot.jobs.overview.history import CELL_SECONDS, CELLS, Cell, Stop
from spigot.jobs.overview.reading import BucketView, stop_of
from spigot.jobs.overview.verdict import hold_left, pace_of, places_of
from spigot.jobs.overview.words import clock_text, number_text, rate_text, unit_of

TOOTH_CELLS = 3
PX_PER_SECOND = 5 / (TOOTH_CELLS * CELL_SECONDS)
NOW_X, END_X = 600, 700
LABEL_PX = 56
"""Least width of a band that carries a word."""


@dataclass(frozen=True, slots=True)
class Frame:
    """Where the parts of a picture lie.

    Attributes:
        top: Of the highest rate.
        base: Of the comb.
        brim: Where the waiting jobs reach the bucket's capacity.
        floor: Where none waits.
    """

    top: float
    base: float
    brim: float
    floor: float


SMALL = Frame(14.5, 48, 53, 72)
LARGE = Frame(26.5, 116, 132, 182)


def tap_picture(view: BucketView, frame: Frame = SMALL) -> dict[str, str]:
    """Return the attributes of the picture's parts, by name."""
    teeth = _teeth(view)
    rates = [(tooth.x, tooth.rate) for tooth in teeth]
    highest = max(max(tooth.rate, tooth.starts) for tooth in teeth)
    deepest = max(cell.waiting for cell in view.history)
    full = max(1, min(view.state.capacity, max(10, 4 * deepest)))
    per_rate = (frame.base - frame.top) / highest
    per_job = (frame.floor - frame.brim) / full

    def rate_y(rate: float) -> float:
        return round(2 * (frame.base - per_rate * rate)) / 2

    def depth_y(waiting: float) -> float:
        return round(2 * (frame.floor - per_job * min(full, waiting))) / 2

    begin, end = _plan(view)
    planned = 1 / view.state.interval if begin < end else 0
    if view.state.running and places_of(view) and view.mean_run:
        planned = min(planned, places_of(view) / view.mean_run)
    bands = list(_bands(view))
    depths = [(tooth.x + 5, depth_y(tooth.waiting)) for tooth in teeth]
    return {
        "teeth": _steps([(t.x, rate_y(t.starts)) for t in teeth], frame.base),
        "planned": _box(begin, end, rate_y(planned), frame.base) if planned else "",
        "rate": _steps([(x, rate_y(rate)) for x, rate in rates], None),
        "rate_y": _px(max(9, rate_y(rates[-1][1]) - 4)),
        "rate_text": _rate_words(view),
        "depth": _area(depths, frame.floor),
        "depth_plan": f"M{NOW_X} {depths[-1][1]:g}H{_px(begin)}L{_px(end)} {depth_y(0):g}"
        if view.state.waiting and planned
        else "",
        "capacity": f"M0 {frame.brim + 0.5:g}H{END_X}" if full == view.state.capacity else "",
        "warn_bands": "".join(b.path(frame.base) for b in bands if b.stop != "no worker"),
        "bad_bands": "".join(b.path(frame.base) for b in bands if b.stop == "no worker"),
        **_labels(view, bands),
        "picture_label": _in_words(view),
    }


def level_picture(waiting: int, capacity: int) -> dict[str, str]:
    """Return where the water of a bucket stands, in a wall of 48 px."""
    height = 48 * min(1.0, waiting / max(1, capacity))
    height = max(2.0, height) if waiting else 0.0
    y = _px(52 - height)
    return {"pool_y": y, "pool_height": _px(height), "brim": f"M8 {y}H56" if waiting else ""}


@dataclass(frozen=True, slots=True)
class _Band:
    """A time in which nothing started, and why."""

    stop: Stop
    begin: float
    end: float
    is_now: bool

    def path(self, height: float) -> str:
        width = _px(self.end - self.begin)
        return f"M{_px(self.begin)} 0h{width}v{height:g}h-{width}z"


class _Tooth(NamedTuple):
    """Fifteen seconds: its left edge, starts a second, jobs that waited at its end, the rate."""

    x: float
    starts: float
    waiting: int
    rate: float


def _teeth(view: BucketView) -> list[_Tooth]:
    """Return the teeth; the last one is of the time until now."""
    last = view.now_us // (CELL_SECONDS * 1_000_000)
    in_last = last % TOOTH_CELLS + 1
    into = view.now_us / 1_000_000 % (TOOTH_CELLS * CELL_SECONDS)
    present = _tooth(CELLS, view.history[-in_last:], max(CELL_SECONDS, into))
    return [*_past_teeth(tuple(view.history[:-in_last])), present]


@lru_cache(maxsize=64)
def _past_teeth(history: tuple[Cell, ...]) -> list[_Tooth]:
    """Return the teeth that are whole: they stay as they are until the next one is."""
    teeth, behind = [], TOOTH_CELLS - (CELLS - len(history))
    for begin in range(CELLS % TOOTH_CELLS or TOOTH_CELLS, CELLS, TOOTH_CELLS):
        end = begin - behind
        cells = history[max(0, end - TOOTH_CELLS) : end] or history[:1]
        teeth.append(_tooth(begin, cells, len(cells) * CELL_SECONDS))
    return teeth


def _tooth(begin: int, cells: Sequence[Cell], seconds: float) -> _Tooth:
    starts = sum(cell.starts for cell in cells)
    x = NOW_X * (begin - TOOTH_CELLS) / CELLS
    return _Tooth(x, starts / seconds, cells[-1].waiting, cells[-1].rate)


def _plan(view: BucketView) -> tuple[float, float]:
    """Return from where to where the waiting jobs start, as far as the rate alone decides."""
    state = view.state
    if not state.waiting or state.paused or not state.workers:
        return NOW_X, NOW_X
    begin = NOW_X + hold_left(view) * PX_PER_SECOND
    interval = max(state.interval, view.mean_run / places_of(view) if places_of(view) else 0)
    end = begin + max(3.0, state.waiting * interval * PX_PER_SECOND)
    return min(END_X, begin), min(END_X, end)


def _bands(view: BucketView) -> Iterator[_Band]:
    index = 0
    for stop, found in groupby(view.history, key=_stop_of_cell):
        count = len(list(found))
        is_now = index + count == len(view.history) and stop == stop_of(view.state)
        if stop:
            yield _Band(stop, _cell_x(index), _cell_x(index + count), is_now=is_now)
        index += count
    stop = stop_of(view.state)
    if stop == "held":
        ahead = NOW_X + hold_left(view) * PX_PER_SECOND
        yield _Band(stop, NOW_X, min(END_X, ahead), is_now=True)
    if stop == "paused":
        yield _Band(stop, NOW_X, END_X, is_now=True)


def _stop_of_cell(cell: Cell) -> Stop | None:
    return cell.stop


def _labels(view: BucketView, bands: Sequence[_Band]) -> dict[str, str]:
    """Return words for the present band, and for the widest one before it."""
    labels = {name: "" for name in ("stop_text", "stop_x", "past_stop_text", "past_stop_x")}
    labels |= {"stop_class": "band-text", "past_stop_class": "band-text"}
    present = [band for band in bands if band.is_now]
    if present:
        begin, end = present[0].begin, present[-1].end
        stop = present[0].stop
        words = f"held {clock_text(hold_left(view))} more" if stop == "held" else stop
        wide = max(LABEL_PX, 7 * len(words)) / 2
        middle = min(END_X - wide, max(wide, (begin + end) / 2))
        labels |= {"stop_text": words, "stop_x": _px(middle), "stop_class": _class(stop)}
    past = [band for band in bands if not band.is_now and band.end - band.begin >= LABEL_PX]
    if past:
        widest = max(past, key=lambda band: band.end - band.begin)
        seconds = (widest.end - widest.begin) / PX_PER_SECOND
        labels["past_stop_text"] = f"{widest.stop} {clock_text(seconds)}"
        labels["past_stop_x"] = _px(widest.end - 6)
        labels["past_stop_class"] = _class(widest.stop)
    return labels


def _class(stop: Stop) -> str:
    return "band-text bad" if stop == "no worker" else "band-text warn"


def _rate_words(view: BucketView) -> str:
    return view.state.rate.partition(" burst ")[0]


def _in_words(view: BucketView) -> str:
    starts = sum(cell.starts for cell in view.history)
    unit = unit_of(view.state.rate)
    return (
        f"Starts in the last 30 minutes: {number_text(starts)}; in the last minute "
        f"{rate_text(pace_of(view), unit)} of {_rate_words(view)}. "
        f"{view.state.waiting:,} of {view.state.capacity:,} wait."
    )


def _cell_x(index: int) -> float:
    return NOW_X * index / CELLS


def _box(begin: float, end: float, top: float, base: float) -> str:
    return f"M{_px(begin)} {base:g}V{top:g}H{_px(end)}V{base:g}z"


def _steps(points: list[tuple[float, float]], base: float | None) -> str:
    """Return a path of steps, to *now* and down to a base line, or as a line to the end."""
    first_x, y = points[0]
    parts = [f"M{_px(first_x)} {y:g}" if base is None else f"M{_px(first_x)} {base:g}V{y:g}"]
    at = first_x
    for x, next_y in points[1:]:
        if next_y != y:
            parts.append(f"h{_px(x - at)}v{next_y - y:g}")
            at, y = x, next_y
    end = f"H{END_X}" if base is None else f"H{NOW_X}V{base:g}z"
    return "".join(parts) + end


def _area(points: list[tuple[float, float]], floor: float) -> str:
    """Return a path of an area whose other edges lie outside of what is shown."""
    y = points[0][1]
    parts, run = [f"M-9 {floor + 9:g}V{y:g}H{_px(points[0][0])}"], 0.0
    at = points[0][0]
    for x, next_y in points[1:]:
        if next_y == y:
            run += x - at
        else:
            parts.append((f"h{_px(run)}" if run else "") + f"l{_px(x - at)} {next_y - y:g}")
            run = 0.0
        at, y = x, next_y
    return "".join(parts) + f"H{NOW_X + 9}V{floor + 9:g}z"


def _px(value: float) -> str:
    return f"{round(value, 1):g}"
