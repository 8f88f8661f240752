"""What becomes of a pool's jobs when the process that runs them ends."""

import time
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from spigot.jobs.bucket.claim_answers import Claim
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.pool.flights import Flights
from spigot.worker.pool.pool_executor import PoolExecutor
from spigot.worker.pool.shared_table import SharedTable
from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.early_stops import EarlyStops
from tests.support.processes import wait_for

PLACES = 4


class Children:
    """One child that never answers, and dies when it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[object, ...]] = []
        self.main_pid = 1
        self.child = SimpleNamespace(
            pid=1, places=PLACES, free_places=[*reversed(range(PLACES))], taken=0,
            table=SharedTable(PLACES), end="was killed",
            send=lambda *message: self.sent.append(message) or True,
        )  # fmt: skip

    def start(self, on_end, on_death) -> None:
        self._on_death = on_death

    def choose(self, suspicion: int) -> SimpleNamespace:
        return self.child

    def begin(self, place: int) -> None:
        self.child.table.begin(place, 0, 1)

    def die(self) -> None:
        self._on_death(self.child, None)


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
def early_stops() -> EarlyStops:
    return EarlyStops()


@pytest.fixture
def pool(children, ended, early_stops) -> PoolExecutor:
    def finish_all(told) -> None:
        ended.update({job.id: outcome.status for job, outcome in told})

    executor = Mock(finish_all=finish_all)
    pool = PoolExecutor(
        executor, children, Mock(), Mock(), StopSignals(), 1.0, Flights(PLACES), early_stops
    )
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


def test_a_job_that_was_stopped_before_it_is_sent_never_is(pool, children, early_stops, ended):
    early_stops.note_answer(["job-0", "job-1"])
    early_stops.note_stop("job-1")
    for number in range(2):
        pool.execute(claimed_job(number))
    wait_for(lambda: ended)

    assert ended == {"job-1": "cancelled"}
    assert [message[0] for message in children.sent] == ["run"]
    assert not early_stops.note_stop("job-0")


def test_jobs_that_come_together_are_sent_together_or_before_one_is_refused(pool, children):
    def sent() -> list[list[int]]:
        return [[place for place, _ in claims] for _, claims in children.sent]

    pool.execute(claimed_job(0), more_follow=True)
    assert not children.sent
    pool.execute(claimed_job(1))
    assert sent() == [[0, 1]]

    pool.execute(claimed_job(2), more_follow=True)
    pool.refuse(claimed_job(3).claim, ValueError("unreadable"))
    assert sent() == [[0, 1], [2]]


def test_a_job_that_is_stopped_while_it_is_sent_is_stopped_after_that(pool, children):
    job = claimed_job(0)
    send = children.child.send

    def be_overtaken(*message: object) -> bool:
        if message[0] == "run":
            pool.cancel(job.id)
        return send(*message)

    children.child.send = be_overtaken
    pool.execute(job)

    assert [message[0] for message in children.sent] == ["cancel", "run", "cancel"]


def test_a_job_that_was_stopped_and_finds_no_place_is_cancelled(
    pool, children, early_stops, ended, monkeypatch
):
    monkeypatch.setattr(children, "choose", lambda suspicion: None)
    early_stops.note_answer(["job-0", "job-1"])
    early_stops.note_stop("job-1")
    for number in range(2):
        pool.execute(claimed_job(number))
    wait_for(lambda: len(ended) == 2)

    assert ended == {"job-0": "not_started", "job-1": "cancelled"}
