"""Disturbs a worker at each round trip of its jobs' lives; all must be set right afterwards.

The places are found by a proxy between the worker and its server, so the sweep follows the code.
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from tests.support.counting_proxy import Moment
from tests.support.job_life import JobLife
from tests.support.servers import own_server

LIVES_AT_ONCE = 10
"""They mostly wait for leases to run out."""

SERVERS_AT_ONCE = 4
ONE_QUEUE = ["default"]
THREE_QUEUES = ["default-high", "default", "default-low"]

Place = tuple[int, Moment]
MakeLife = Callable[[int, Moment], JobLife]

both_queues = pytest.mark.parametrize(
    "queues", [ONE_QUEUE, THREE_QUEUES], ids=["one queue", "three queues"]
)


def sweep(live: Callable[[Place], tuple[JobLife, list[str]]], at_once: int) -> None:
    """Live once undisturbed, to count the round trips, and then once for each."""
    undisturbed, wrong = live((0, "asked"))
    assert not wrong
    numbers = range(1, undisturbed.round_trips + 1)
    places: list[Place] = [(number, "asked") for number in numbers]
    places += [(number, "answered") for number in numbers]
    begun = time.monotonic()
    with ThreadPoolExecutor(at_once) as pool:
        lives = list(pool.map(live, places))

    done = sum(life.done for life, _ in lives)
    print(f"{done} of {len(places)} places in {time.monotonic() - begun:.0f} s")
    assert [problem for _, wrong in lives for problem in wrong] == []
    assert done > 0.5 * len(places)  # the first life may have been slow, and polled more often


@pytest.mark.slow
@pytest.mark.timeout(600)
@both_queues
@pytest.mark.parametrize(
    "deed", ["kill worker", "kill worker and horse", "terminate worker", "cut connection"]
)
def test_nothing_is_lost_wherever_the_worker_is_disturbed(
    deed, queues, fork_server, catalog, tmp_path
):
    databases: SimpleQueue[int] = SimpleQueue()
    for database in range(LIVES_AT_ONCE):
        databases.put(database)

    with own_server() as server:

        def live(place: Place) -> tuple[JobLife, list[str]]:
            number, moment = place
            folder, database = tmp_path / f"{number}-{moment}", databases.get()
            life = JobLife(
                server, fork_server, catalog, folder, database, queues, deed, number, moment
            )
            try:
                return life, [f"at {number} {moment}: {problem}" for problem in life.live()]
            finally:
                databases.put(database)

        sweep(live, LIVES_AT_ONCE)


@pytest.mark.slow
@pytest.mark.timeout(600)
@both_queues
def test_nothing_is_lost_whenever_the_server_is_killed(queues, fork_server, catalog, tmp_path):
    def live(place: Place) -> tuple[JobLife, list[str]]:
        number, moment = place
        folder = tmp_path / f"{number}-{moment}"
        with own_server(durable=True) as server:
            life = JobLife(
                server, fork_server, catalog, folder, 0, queues, "restart server", number, moment
            )
            return life, [f"at {number} {moment}: {problem}" for problem in life.live()]

    sweep(live, SERVERS_AT_ONCE)
