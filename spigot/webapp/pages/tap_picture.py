"""Draws a bucket: the comb of its starts under its rate, what waits below, and what is planned.

Left of *now* is what happened, right of it what is planned: 5 px are 15 s on both sides, on the
same axis for all buckets. Everything is a path or a text, so a page is updated by setting
attributes; coordinates are whole px, relative where that is shorter, because the pictures are most
of a page's weight.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

from spigot.jobs.overview.history import CELL_SECONDS, CELLS, Cell, Stop
from spigot.jobs.overview.number_texts import clock_text
from spigot.jobs.overview.outlook import hold_left, places_of
from spigot.jobs.overview.reading import BucketView, stop_of
from spigot.runtime.count_text import count_text

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
        depth_teeth: After how many teeth the edge of the waiting jobs has a corner.
    """

    top: int
    base: int
    brim: int
    floor: int
    depth_teeth: int


SMALL = Frame(14, 48, 53, 72, depth_teeth=2)
LARGE = Frame(26, 116, 132, 182, depth_teeth=1)


def tap_picture(view: BucketView, frame: Frame = SMALL) -> dict[str, str]:
    """Return the attributes of the picture's parts, by name."""
    teeth = _teeth(view)
    rates = [(tooth.x, tooth.rate) for tooth in teeth]
    highest = max(max(tooth.rate, tooth.starts) for tooth in teeth)
    deepest = max(cell.waiting for cell in view.history)
    full = max(1, min(view.state.capacity, max(10, 4 * deepest)))
    per_rate = (frame.base - frame.top) / highest
    per_job = (frame.floor - frame.brim) / full

    def rate_y(rate: float) -> int:
        return round(frame.base - per_rate * rate)

    def depth_y(waiting: float) -> int:
        return round(frame.floor - per_job * min(full, waiting))

    begin, end, empty = _plan(view)
    planned = 1 / view.state.interval if begin < end else 0
    if view.state.running and places_of(view):
        planned = min(planned, view.runs.carried(places_of(view)))
    left = view.state.waiting * (empty - end) / max(1.0, empty - begin)
    bands = list(_bands(view))
    corners = teeth[::-1][:: frame.depth_teeth][::-1]
    depths = [(tooth.x + 5, depth_y(tooth.waiting)) for tooth in corners]
    return {
        "teeth": _steps([(t.x, rate_y(t.starts)) for t in teeth], frame.base),
        "planned": _box(begin, end, rate_y(planned), frame.base) if planned else "",
        "rate": _steps([(x, rate_y(rate)) for x, rate in rates], None),
        "rate_y": _px(max(9, rate_y(rates[-1][1]) - 4)),
        "rate_text": _rate_words(view),
        "depth": _area(depths, frame.floor),
        "depth_plan": f"M{NOW_X} {depths[-1][1]}H{_px(begin)}L{_px(end)} {depth_y(left)}"
        if view.state.waiting and planned
        else "",
        "capacity": f"M0 {frame.brim + 0.5}H{END_X}" if full == view.state.capacity else "",
        "warn_bands": "".join(b.path(frame.base) for b in bands if b.stop != "no worker"),
        "bad_bands": "".join(b.path(frame.base) for b in bands if b.stop == "no worker"),
        **_labels(view, bands),
        "picture_label": _in_words(view),
    }


def level_picture(waiting: int, capacity: int) -> dict[str, str]:
    """Return where the water of a bucket stands, in a wall of 48 px."""
    if not waiting:
        return {"pool": ""}
    y = 52 - max(2, round(48 * min(1.0, waiting / max(1, capacity))))
    return {"pool": f"M0 {y}H64V70H0z"}


@dataclass(frozen=True, slots=True)
class _Band:
    """A time in which nothing started, and why."""

    stop: Stop
    begin: float
    end: float
    is_now: bool

    def path(self, height: float) -> str:
        return f"M{_px(self.begin)} 0H{_px(self.end)}V{height:g}H{_px(self.begin)}z"


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


def _plan(view: BucketView) -> tuple[float, float, float]:
    """Return from where to where starts of waiting jobs are shown, and where the last one is."""
    state = view.state
    if not state.waiting or state.paused or not state.workers:
        return NOW_X, NOW_X, NOW_X
    begin = NOW_X + hold_left(view) * PX_PER_SECOND
    places = places_of(view)
    by_places = view.runs.wait_for_places(state.waiting, places) if places else 0
    end = begin + max(3.0, max(state.waiting * state.interval, by_places) * PX_PER_SECOND)
    return min(END_X, begin), min(END_X, end), end


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
    labels |= {"stop_class": "band", "past_stop_class": "band"}
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
        labels["past_stop_class"] = f"past {_class(widest.stop)}"
    return labels


def _class(stop: Stop) -> str:
    return "band bad" if stop == "no worker" else "band warn"


def _rate_words(view: BucketView) -> str:
    return view.state.rate.partition(" burst ")[0]


def _in_words(view: BucketView) -> str:
    """Return what the picture shows and no other text of the card says."""
    starts = count_text(sum(cell.starts for cell in view.history), "start")
    deepest = max(cell.waiting for cell in view.history)
    return f"{starts} in 30 minutes; {deepest:,} waited at most."


def _cell_x(index: int) -> float:
    return NOW_X * index / CELLS


def _box(begin: float, end: float, top: int, base: int) -> str:
    return f"M{_px(begin)} {base}V{top}H{_px(end)}V{base}z"


def _steps(points: list[tuple[float, int]], base: int | None) -> str:
    """Return a path of steps, to *now* and down to a base line, or as a line to the end."""
    at, y = points[0]
    parts = [f"M{_px(at)} {y}" if base is None else f"M{_px(at)} {base}V{y}"]
    for x, next_y in points[1:]:
        if next_y != y:
            parts.append(f"h{_px(x - at)}v{next_y - y}")
            at, y = x, next_y
    end = f"H{END_X}" if base is None else f"H{NOW_X}V{base}z"
    return "".join(parts) + end


def _area(points: list[tuple[float, int]], floor: int) -> str:
    """Return a path of an area whose other edges lie outside of what is shown."""
    at, y = points[0]
    lines: list[tuple[float, int]] = []
    for x, next_y in points[1:]:
        if next_y == y and lines and lines[-1][1] == 0:
            lines[-1] = (lines[-1][0] + x - at, 0)
        else:
            lines.append((x - at, next_y - y))
        at, y = x, next_y
    drawn = " ".join(f"{_px(dx)}{'' if dy < 0 else ' '}{dy}" for dx, dy in lines)
    return f"M-9 {floor + 9}V{points[0][1]}H{_px(points[0][0])}l{drawn}H{NOW_X + 9}V{floor + 9}z"


def _px(value: float) -> str:
    return f"{round(value, 1):g}"
