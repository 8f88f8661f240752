"""What becomes of a pool's jobs when the process that runs them ends."""

import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from spigot.jobs.bucket.leaky_bucket import Claim
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.pool.pool_executor import PoolExecutor
from spigot.worker.pool.shared_table import SharedTable
from spigot.worker.running.function_call import ClaimedJob
from tests.support.processes import wait_for

PLACES = 4


class Children:
    """One child that never answers, and dies when it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[object, ...]] = []
        self.main_pid = 1
        self._child = SimpleNamespace(
            pid=1, places=PLACES, table=SharedTable(PLACES), taken=0, end="was killed",
            send=lambda *message: self.sent.append(message) or True,
        )  # fmt: skip

    def start(self, on_end, on_death) -> None:
        self._on_death = on_death

    def choose(self, suspicion: int) -> SimpleNamespace:
        return self._child

    def begin(self, place: int) -> None:
        self._child.table.begin(place, 0, 1)

    def die(self) -> None:
        self._on_death(self._child, None)


def claimed_job(number: int) -> ClaimedJob:
    fields = {b"created_at": b"2026-01-01T00:00:00.000000Z", b"data": b'["f", null, [], {}]'}
    now = time.monotonic()
    claim = Claim(f"job-{number}", "default", f"token-{number}", number, 0, now, 1, fields)
    return ClaimedJob.of(claim, Mock())


@pytest.fixture
def ended() -> dict[str, str]:
    """Outcomes by job."""
    return {}


@pytest.fixture
def children() -> Children:
    return Children()


@pytest.fixture
def pool(children, ended) -> PoolExecutor:
    def finish_all(told) -> None:
        ended.update({job.id: outcome.status for job, outcome in told})

    executor = Mock(finish_all=finish_all)
    pool = PoolExecutor(executor, children, Mock(), Mock(), StopSignals(), 1.0, PLACES)
    pool.start()
    return pool


def test_a_cancelled_job_does_not_run_again_because_its_process_died(pool, children, ended):
    for number in range(3):
        pool.execute(claimed_job(number))
    for place in (0, 1):
        children.begin(place)
    pool.cancel("job-0")
    assert ("cancel", "token-0") in children.sent
    children.die()
    wait_for(lambda: len(ended) == 3)

    assert ended == {"job-0": "cancelled", "job-1": "pool_died", "job-2": "not_started"}
