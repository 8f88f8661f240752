"""What is read from the times at which jobs started."""

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

SETTLE_US = 1_000_000
"""After the first start; what the backlog's coming and the first forks do is not counted."""

SECOND_US = 1_000_000


@dataclass(frozen=True)
class Start:
    """One job; times are Unix microseconds, ``slot_us`` is 0 for systems without slots."""

    us: int
    slot_us: int


@dataclass(frozen=True)
class Cell:
    """One measurement: jobs per second, over so many workers, for so long."""

    rate: int
    workers: int
    seconds: float

    @property
    def jobs(self) -> int:
        """How many a backlog needs that does not run dry."""
        return round(self.rate * (self.seconds + 3))

    @property
    def interval_us(self) -> float:
        """Microseconds between two jobs at the exact rate."""
        return SECOND_US / self.rate


def read_starts(notes: Path) -> list[Start]:
    """Return what the jobs noted, the first to start first."""
    if not notes.exists():
        return []
    whole_lines = notes.read_text().rpartition("\n")[0].splitlines()
    starts = [Start(*map(int, line.split())) for line in whole_lines]
    return sorted(starts, key=lambda start: start.us)


def is_over(cell: Cell, starts: list[Start], now_us: int) -> bool:
    """Return whether the backlog is gone, or the time is."""
    if not starts:
        return False
    enough_us = SETTLE_US + cell.seconds * SECOND_US
    return len(starts) == cell.jobs or now_us - starts[0].us > enough_us


@dataclass(frozen=True)
class Pace:
    """How evenly a system started jobs.

    Attributes:
        achieved: The rate, as a part of the wanted one; of the slots, where there are some.
        gaps_us: Between each two starts.
        worst_second: The most starts within a second, as a part of the wanted rate.
        late_us: From slot to start, where there are slots.
    """

    achieved: float
    gaps_us: list[int]
    worst_second: float
    late_us: list[int]

    @classmethod
    def of(cls, cell: Cell, starts: list[Start]) -> "Pace":
        """Measure the time that counts.

        Raises:
            ValueError: Too few jobs started.
        """
        counted = _counted(cell, starts)
        if len(counted) < 3:
            raise ValueError(f"{len(counted)} jobs started in {cell.seconds} s")
        times = [start.us for start in counted]
        slots = [start.slot_us for start in counted if start.slot_us]
        span_us: float = max(slots) - min(slots) if slots else times[-1] - times[0]
        if len(starts) < cell.jobs:  # some waited till the end: a stall counts, too
            span_us = max(span_us, cell.seconds * SECOND_US - 2 * cell.interval_us)
        return cls(
            achieved=(len(times) - 1) * cell.interval_us / span_us,
            gaps_us=[later - earlier for earlier, later in pairwise(times)],
            worst_second=most_in_a_second(times) / cell.rate,
            late_us=[start.us - start.slot_us for start in counted if start.slot_us],
        )


def _counted(cell: Cell, starts: list[Start]) -> list[Start]:
    """Return those in the time that counts; all, if the backlog was gone before its end."""
    if not starts:
        return []
    begin_us = starts[0].us + SETTLE_US
    end_us = begin_us + cell.seconds * SECOND_US
    if len(starts) == cell.jobs and starts[-1].us < end_us:
        return starts
    return [start for start in starts if begin_us <= start.us < end_us]


def most_in_a_second(times: list[int]) -> int:
    """Return the most of the sorted times that lie within one second."""
    most = first = 0
    for last, us in enumerate(times):
        while us - times[first] >= SECOND_US:
            first += 1
        most = max(most, last - first + 1)
    return most


def percentile(values: list[int], percent: float) -> float:
    """Return the value that so many percent do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]
