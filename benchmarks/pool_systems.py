"""What many jobs at once take in Spigot's pool, and in RQ, Celery, Dramatiq, Huey and BullMQ.

    python benchmarks/pool_systems.py                 # about 15 minutes, installs the others
    python benchmarks/pool_systems.py --at-hand       # Spigot, and the RQ that it runs on

All are measured in one run on one private server, each in an environment of its own, with the
options that it has by default; the order turns with each round, and the medians are printed.

Memory is PSS (Linux) of all processes of a system: what they share is counted once. Each job waits
for an answer of a local server: functions by urllib, Spigot's coroutines by a stream of asyncio,
BullMQ's promises by node's http. Idle workers are measured first, before any job.

A job that does nothing notes its start in a file (about two microseconds). A backlog waits before
the workers come; the rate is that between the first start and the last, and processor time counts
from the first start to some seconds after the last. On a busy machine times move by half; what
counts are the ratios.
"""

import argparse
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from statistics import median

from laboratory import private_server
from pool_measure import NotMeasuredError, Short, laboratory
from pool_subjects import System, others, systems_at_hand


def main() -> None:
    """Measure, and print a table for each question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--at-hand", action="store_true", help="install nothing")
    parser.add_argument("--waiting", type=int, default=100, help="jobs that wait at once")
    parser.add_argument("--short", type=int, default=5000, help="jobs that do nothing")
    parser.add_argument("--rounds", type=int, default=3, help="of jobs that do nothing")
    parser.add_argument("--settle", type=float, default=3, help="seconds that memory stays steady")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as text, private_server(Path(text)) as url:
        systems = [*systems_of(given.at_hand, Path(text))]
        print(f"{os.cpu_count()} cores, {load()}\n", flush=True)
        print(f"| {given.waiting} jobs wait | processes | idle (MB) | with the jobs | more |")
        print("| --- | --- | --- | --- | --- |", flush=True)
        for system in systems:
            print(memory_row(system, url, given), flush=True)
        print(f"\n{load()}\n")
        print_short(systems, url, given)
        print(f"\n{load()}")


def systems_of(at_hand: bool, folder: Path) -> list[System]:
    """Return what is to be measured."""
    here = [*systems_at_hand()]
    if at_hand:
        return here
    return [system for system in here if "Spigot" in system.name] + [*others(folder)]


def load() -> str:
    """Return how many processes wanted to run in the last minute."""
    return f"load {os.getloadavg()[0]:.1f}"


def memory_row(system: System, url: str, given: argparse.Namespace) -> str:
    """Measure the memory of a system."""
    try:
        with laboratory(system, url, given.settle) as place:
            memory = place.memory(given.waiting)
    except NotMeasuredError as error:
        return f"| {system.name} | {error} | | | |"
    more = memory.waiting - memory.idle
    return (
        f"| {system.name} | {memory.processes} | {memory.idle:.0f} | {memory.waiting:.0f} "
        f"| {more:.1f} |"
    )


def print_short(systems: list[System], url: str, given: argparse.Namespace) -> None:
    """Measure jobs that do nothing, in rounds, and print the medians."""
    measured: dict[str, list[Short]] = defaultdict(list)
    for turn in range(given.rounds):
        for system in systems[turn % len(systems) :] + systems[: turn % len(systems)]:
            try:
                with laboratory(system, url, given.settle) as place:
                    short = place.short_jobs(given.short, system.in_rates or given.waiting)
            except NotMeasuredError as error:
                print(f"{system.name}: {error}\n")
            else:
                measured[system.name].append(short)
    print(
        f"| {given.short} jobs that do nothing | processes | results are kept | jobs a second "
        "| lowest, highest | workers, µs a job | server, µs a job |\n"
        "| --- | --- | --- | --- | --- | --- | --- |"
    )
    for system in systems:
        if rounds := measured[system.name]:
            print(short_row(system, rounds))


def short_row(system: System, rounds: list[Short]) -> str:
    """Return the medians of what was measured in some rounds."""
    rates = [short.per_second for short in rounds]
    workers, server = (
        median(getattr(short, name) for short in rounds) for name in ("workers_us", "server_us")
    )
    return (
        f"| {system.name} | {rounds[0].processes} | {system.keeps} | {median(rates):.0f} "
        f"| {min(rates):.0f}, {max(rates):.0f} | {workers:.0f} | {server:.0f} |"
    )


if __name__ == "__main__":
    main()
