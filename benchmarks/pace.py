"""How evenly a fleet starts jobs: rate, gaps, the worst second, and how late after their slots.

    python benchmarks/pace.py                          # 12 cells, about 7 minutes
    python benchmarks/pace.py --rates 100 --fleets 1   # one cell
    python benchmarks/pace.py --fleets 1 4 16 --others --plot docs/pace.svg   # about 20 minutes
    python benchmarks/pace.py --rates 50 --fleets 2 --pools --stand-still 40 --busy 2

Each cell of the table is a full backlog, a fleet of real processes and a private server. The
other systems are installed into environments of their own, and run in the same run, so that
whatever else the machine does hits all of them alike.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from laboratory import node_modules, private_server, python_environment, version_of_node_package
from pace_disturbance import busy_loops, standing_still
from pace_measure import Cell, Pace, Start, is_over, percentile, read_starts
from pace_plot import draw
from pace_systems import Place, System, bullmq, celery, plain_rq, spigot

PATIENCE_SECONDS = 60

EXACT = 0.001
"""How far the achieved rate may be from the wanted one, as a part of it."""

HEADER = """\
| system | rate | workers | achieved | gaps p1, p50, p99 (ms) | worst second | late p50, p99 (ms) |
| --- | --- | --- | --- | --- | --- | --- |"""


def main() -> None:
    """Measure, and print a row per cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rates", type=int, nargs="+", default=[10, 50, 100], help="per second")
    parser.add_argument("--fleets", type=int, nargs="+", default=[1, 4, 16, 32], help="workers")
    parser.add_argument("--seconds", type=float, default=10, help="per cell")
    parser.add_argument("--others", action="store_true", help="compare with other systems")
    parser.add_argument("--strict", action="store_true", help="fail unless Spigot is exact")
    parser.add_argument("--pools", action="store_true", help="measure pools, too")
    parser.add_argument("--stand-still", type=float, default=0, help="ms a second, of the server")
    parser.add_argument("--busy", type=int, default=0, help="loops that compute meanwhile")
    parser.add_argument("--plot", type=Path, help="SVG of the gaps at the last rate and fleet")
    options = parser.parse_args()
    last = Cell(options.rates[-1], options.fleets[-1], options.seconds)
    plotted: dict[str, list[int]] = {}
    missed = 0
    with tempfile.TemporaryDirectory(prefix="pace-") as folder, busy_loops(options.busy):
        systems = [spigot(simple=True), spigot(simple=False)]
        systems += [spigot(simple=False, concurrency=20)] if options.pools else []
        systems += other_systems(Path(folder)) if options.others else []
        print(f"{os.cpu_count()} cores, {options.seconds:g} s a cell\n\n{HEADER}", flush=True)
        for cell in cells(options.rates, options.fleets, options.seconds):
            for system in systems:
                try:
                    pace = Pace.of(cell, measure(system, cell, options.stand_still))
                except ValueError as error:
                    print(f"| {system.name} | {cell.rate}/s | {cell.workers} | {error} |")
                    continue
                print(row(system.name, cell, pace), flush=True)
                missed += "Spigot" in system.name and abs(pace.achieved - 1) > EXACT
                if cell == last:
                    plotted[system.name] = pace.gaps_us
    if options.plot:
        options.plot.write_text(draw(plotted, last))
    if options.strict and missed:
        raise SystemExit(f"{missed} rows are not within {EXACT:.1%} of the rate")


def cells(rates: list[int], fleets: list[int], seconds: float) -> Iterator[Cell]:
    """Yield what is to be measured."""
    for rate in rates:
        for workers in fleets:
            yield Cell(rate, workers, seconds)


def other_systems(folder: Path) -> Iterator[System]:
    """Install what Spigot is compared with."""
    celery_python = python_environment(folder / "celery", "celery[redis]")
    modules = node_modules(folder / "node", "bullmq", "ioredis")
    print(f"BullMQ {version_of_node_package(modules, 'bullmq')}")
    yield bullmq(modules, even=True)
    yield bullmq(modules, even=False)
    yield celery(celery_python, shared=False)
    yield celery(celery_python, shared=True)
    yield plain_rq(python_environment(folder / "rq", "rq", "hiredis"))


def measure(system: System, cell: Cell, stand_still: float) -> list[Start]:
    """Let a fleet work off a backlog, while the server stands still; return the starts."""
    with (
        tempfile.TemporaryDirectory(prefix="pace-") as folder,
        private_server(Path(folder)) as url,
    ):
        place = Place(url, Path(folder))
        with system.fleet(cell, place):
            system.fill(cell, place)
            deadline = time.monotonic() + cell.seconds + PATIENCE_SECONDS
            with standing_still(url, stand_still):
                while time.monotonic() < deadline:
                    starts = read_starts(place.notes)
                    if is_over(cell, starts, time.time_ns() // 1000):
                        return starts
                    time.sleep(0.5)
        return read_starts(place.notes)


def row(name: str, cell: Cell, pace: Pace) -> str:
    """Return a row of the table."""
    gaps = ", ".join(f"{percentile(pace.gaps_us, p) / 1000:.1f}" for p in (1, 50, 99))
    late = ", ".join(f"{percentile(pace.late_us, p) / 1000:.1f}" for p in (50, 99) if pace.late_us)
    return (
        f"| {name} | {cell.rate}/s | {cell.workers} | {pace.achieved:.2%} | {gaps} "
        f"| {pace.worst_second:.0%} | {late} |"
    )


if __name__ == "__main__":
    main()
