"""What a bucket did in the last 30 minutes, from the cells that ``history.lua`` keeps."""

from functools import lru_cache
from itertools import pairwise
from typing import Literal, NamedTuple

CELL_SECONDS = 5
CELLS = 360
WIDTHS = (9, 7, 8, 12, 11)
"""Characters of a cell's numbers, as ``history.lua`` writes them."""

CELL_BYTES = sum(WIDTHS)
PAUSED = 1
SILENT_CELLS = 6
"""So many cells that nobody wrote although jobs waited: no worker looked."""

Stop = Literal["held", "paused", "no worker"]


class Cell(NamedTuple):
    """Five seconds of a bucket.

    Attributes:
        starts: Jobs that started.
        waiting: Jobs that waited at its end.
        rate: Jobs a second that the bucket allowed.
        stop: Why nothing started; None if that is not known, or something did.
    """

    starts: int
    waiting: int
    rate: float
    stop: Stop | None


class _Written(NamedTuple):
    number: int
    starts: int
    waiting: int
    interval_us: int
    until: int


def read_history(
    stored: bytes, now_us: int, *, waiting: int, interval_us: int, stop: Stop | None
) -> list[Cell]:
    """Return the last ``CELLS`` cells, the present one last; nobody may change the list.

    Of a cell that nobody wrote, the waiting jobs lie between those before and after it.

    Args:
        stored: The string.
        now_us: Unix microseconds on the server's clock.
        waiting: Jobs that wait now.
        interval_us: Between two leaks, now.
        stop: Why nothing starts now.
    """
    return _read(stored, now_us // (CELL_SECONDS * 1_000_000), waiting, interval_us, stop)


@lru_cache(maxsize=64)
def _read(
    stored: bytes, last: int, waiting: int, interval_us: int, stop: Stop | None
) -> list[Cell]:
    """Remember what was read: most buckets look each second as they did the second before."""
    numbers = range(last - CELLS + 1, last + 1)
    cells = _cells_of(stored)
    written = {cell.number: cell for cell in cells if cell.number in numbers}
    before = max((cell for cell in cells if cell.number < numbers.start), default=None)
    if last not in written:
        ends = (last + 1) * CELL_SECONDS
        until = ends if stop == "held" else PAUSED if stop == "paused" else 0
        written[last] = _Written(last, 0, waiting, interval_us, until)
    starts = [written[number].starts if number in written else 0 for number in numbers]
    stops = _stops(written, numbers, is_silent=stop == "no worker")
    columns = (starts, _depths(written, numbers, before), _rates(written, numbers), stops)
    return [Cell(*values) for values in zip(*columns, strict=True)]


def _cells_of(stored: bytes) -> list[_Written]:
    slices = (stored[at : at + CELL_BYTES] for at in range(0, len(stored), CELL_BYTES))
    return [cell for text in slices if (cell := _parse(text))]


@lru_cache(maxsize=20_000)
def _parse(text: bytes) -> _Written | None:
    """Read a cell; the same ones are read each second."""
    try:
        number, starts, waiting, interval_us, until = map(int, text.split())
    except ValueError:  # never written, or by somebody else
        return None
    if interval_us < 1:
        return None
    return _Written(number, max(0, starts), max(0, waiting), interval_us, until)


def _depths(written: dict[int, _Written], numbers: range, before: _Written | None) -> list[int]:
    """Return how many jobs waited, on straight lines between the cells that tell.

    None had waited ``before`` the first cell if nobody wrote one then.
    """
    known = {number: cell.waiting for number, cell in written.items()}
    if before is None:
        known[min(written) - 1] = 0
    known[numbers.start - 1] = before.waiting if before else 0
    depths = []
    for left, right in pairwise(sorted(known)):
        slope = (known[right] - known[left]) / (right - left)
        depths += [round(known[left] + slope * step) for step in range(1, right - left + 1)]
    return depths


def _rates(written: dict[int, _Written], numbers: range) -> list[float]:
    rates: list[float] = []
    first = written[min(written)].interval_us
    for number in numbers:
        interval_us = written[number].interval_us if number in written else first
        first = interval_us
        rates.append(1_000_000 / interval_us)
    return rates


def _stops(written: dict[int, _Written], numbers: range, *, is_silent: bool) -> list[Stop | None]:
    """Return why nothing started; a hold lasts until its time, or until the next start."""
    stops: list[Stop | None] = []
    held_until = 0
    for number in numbers:
        cell = written.get(number)
        if cell is not None and (cell.starts or not cell.until):
            held_until = 0
        if cell is not None and cell.until > PAUSED:
            held_until = cell.until
        begins = number * CELL_SECONDS
        if cell is not None and cell.until == PAUSED:
            stops.append("paused")
        elif held_until and held_until > begins and not (cell and cell.starts):
            stops.append("held")
        else:
            stops.append(None)
    _mark_silence(stops, written, numbers, is_silent=is_silent)
    return stops


def _mark_silence(
    stops: list[Stop | None], written: dict[int, _Written], numbers: range, *, is_silent: bool
) -> None:
    """Mark where jobs waited and no worker looked for long."""
    known = sorted(written)
    for before, after in pairwise(known):
        cell = written[before]
        looks_every = max(SILENT_CELLS, 3 * cell.interval_us // (CELL_SECONDS * 1_000_000))
        is_end = after == numbers[-1]
        if is_end and not is_silent and not written[after].starts:
            continue  # workers live: they had nothing to do
        if cell.waiting and not cell.until and after - before > looks_every:
            for number in range(before + 1, after + (is_end and is_silent)):
                stops[number - numbers.start] = "no worker"
