"""Disturbs a worker at each round trip of its jobs' lives; all must be set right afterwards.

The places are found by a proxy between the worker and its server, so the sweep follows the code.
Each of a life's seven attempts makes the same round trips, so a deed visits one place in four, each
deed others. ``EVERY_PLACE=1 pytest -m slow tests/worker/test_crash_sweep.py`` has it
visit all.
"""

import os
import random
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from .counting_proxy import Moment
from .job_life import Deed, JobLife
from .servers import own_server

LIVES_AT_ONCE = 10
"""They mostly wait for leases to run out."""

SERVERS_AT_ONCE = 4
QUEUES: dict[Moment, list[str]] = {
    "asked": ["default-high", "default", "default-low"],
    "answered": ["default"],
}
"""What the worker serves that is disturbed before a round trip, and before its answer."""

DEEDS: list[Deed] = [
    "kill worker",
    "kill worker and horse",
    "terminate worker",
    "cut connection",
    "restart server",
]
EVERY_PLACE = bool(os.environ.get("EVERY_PLACE"))

Place = tuple[int, Moment]
Live = Callable[[Place], tuple[JobLife, list[str]]]


def sweep_workers(
    deed: Deed, fork_server: Any, catalog: Any, folder: Path, *, concurrency: int = 1
) -> None:
    """Do a deed to a worker at a quarter of the places."""
    databases: SimpleQueue[int] = SimpleQueue()
    for database in range(LIVES_AT_ONCE):
        databases.put(database)

    with own_server() as server:

        def live(place: Place) -> tuple[JobLife, list[str]]:
            own, database = _folder_of(place, folder), databases.get()
            life = JobLife(
                server, fork_server, catalog, own, database, QUEUES[place[1]], deed, *place
            )
            life.concurrency = concurrency
            try:
                return life, [f"at {own.name}: {problem}" for problem in life.live()]
            finally:
                databases.put(database)

        _sweep(deed, live, LIVES_AT_ONCE)


def sweep_servers(fork_server: Any, catalog: Any, folder: Path) -> None:
    """Kill the server at a quarter of the places, and start it again."""

    def live(place: Place) -> tuple[JobLife, list[str]]:
        own = _folder_of(place, folder)
        with own_server(durable=True) as server:
            life = JobLife(
                server, fork_server, catalog, own, 0, QUEUES[place[1]], "restart server", *place
            )
            return life, [f"at {own.name}: {problem}" for problem in life.live()]

    _sweep("restart server", live, SERVERS_AT_ONCE)


def _sweep(deed: Deed, live: Live, at_once: int) -> None:
    """Live undisturbed, to count the round trips, and then once for each that the deed visits."""
    places: list[Place] = []
    for moment in QUEUES:
        undisturbed, wrong = live((0, moment))
        assert not wrong
        places += [(number, moment) for number in range(1, undisturbed.round_trips + 1)]
    places = [place for place in places if _visits(deed, place)]
    begun = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        lives = list(pool.map(live, places))

    done = sum(life.done for life, _ in lives)
    print(f"{done} of {len(places)} places in {time.monotonic() - begun:.0f} s")
    problems = [problem for _, wrong in lives for problem in wrong]
    assert not problems, "\n".join(problems)
    assert done > 0.5 * len(places)  # the first life may have been slow, and polled more often


def _visits(deed: Deed, place: Place) -> bool:
    """Choose by no rhythm, which attempts might have as well."""
    quarter = random.Random(repr(place)).randrange(4)
    return EVERY_PLACE or quarter == DEEDS.index(deed) % 4


def _folder_of(place: Place, folder: Path) -> Path:
    number, moment = place
    return folder / f"{number}-{moment}"
