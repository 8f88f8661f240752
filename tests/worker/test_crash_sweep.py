"""Disturbs a worker at each round trip of its jobs' lives; all must be set right afterwards.

The places are found by a proxy between the worker and its server, so the sweep follows the code.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

import pytest

from tests.support.counting_proxy import Moment
from tests.support.job_life import JobLife
from tests.support.servers import own_server

LIVES_AT_ONCE = 10
"""They mostly wait for leases to run out. Tests of one group do not run beside each other."""

SERVERS_AT_ONCE = 4
QUEUES: dict[Moment, list[str]] = {
    "asked": ["default-high", "default", "default-low"],
    "answered": ["default"],
}
"""What the worker serves that is disturbed before a round trip, and before its answer."""

Place = tuple[int, Moment]
Live = Callable[[Place], tuple[JobLife, list[str]]]


def sweep(live: Live, at_once: int) -> None:
    """Live undisturbed, to count the round trips, and then once for each of them."""
    places: list[Place] = []
    for moment in QUEUES:
        undisturbed, wrong = live((0, moment))
        assert not wrong
        places += [(number, moment) for number in range(1, undisturbed.round_trips + 1)]
    begun = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        lives = list(pool.map(live, places))

    done = sum(life.done for life, _ in lives)
    print(f"{done} of {len(places)} places in {time.monotonic() - begun:.0f} s")
    assert [problem for _, wrong in lives for problem in wrong] == []
    assert done > 0.5 * len(places)  # the first life may have been slow, and polled more often


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("deed", "concurrency"),
    [
        pytest.param(deed, concurrency, marks=pytest.mark.xdist_group(f"sweep of {concurrency}"))
        for deed, concurrency in [
            ("kill worker", 1),
            ("kill worker and horse", 1),
            ("terminate worker", 1),
            ("cut connection", 1),
            ("kill worker and horse", 4),
            ("terminate worker", 4),
            ("cut connection", 4),
        ]
    ],
)
def test_nothing_is_lost_wherever_the_worker_is_disturbed(
    deed, concurrency, fork_server, catalog, tmp_path
):
    databases: SimpleQueue[int] = SimpleQueue()
    for database in range(LIVES_AT_ONCE):
        databases.put(database)

    with own_server() as server:

        def live(place: Place) -> tuple[JobLife, list[str]]:
            folder, database = folder_of(place, tmp_path), databases.get()
            life = JobLife(
                server, fork_server, catalog, folder, database, QUEUES[place[1]], deed, *place
            )
            life.concurrency = concurrency
            try:
                return life, [f"at {folder.name}: {problem}" for problem in life.live()]
            finally:
                databases.put(database)

        sweep(live, LIVES_AT_ONCE)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.xdist_group("sweep of 4")
def test_nothing_is_lost_whenever_the_server_is_killed(fork_server, catalog, tmp_path):
    def live(place: Place) -> tuple[JobLife, list[str]]:
        folder = folder_of(place, tmp_path)
        with own_server(durable=True) as server:
            life = JobLife(
                server, fork_server, catalog, folder, 0, QUEUES[place[1]], "restart server", *place
            )
            return life, [f"at {folder.name}: {problem}" for problem in life.live()]

    sweep(live, SERVERS_AT_ONCE)


def folder_of(place: Place, folder: Path) -> Path:
    number, moment = place
    return folder / f"{number}-{moment}"
