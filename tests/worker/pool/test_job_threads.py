"""Attempts that share threads: each runs once, and none waits behind one that does not end."""

import threading
from collections import Counter

import pytest

from spigot.worker.pool import job_threads
from spigot.worker.pool.job_threads import JobThreads
from tests.support.processes import wait_for

MOST = 8


class Work:
    """What threads do: they count an attempt, and wait if it is among those that block."""

    def __init__(self) -> None:
        self.begun: Counter[int] = Counter()
        self.ended: Counter[int] = Counter()
        self.threads: set[object] = set()
        self.gates: dict[int, threading.Event] = {}

    def __call__(self, thread: object, attempt: int) -> None:
        self.begun[attempt] += 1
        self.threads.add(thread)
        if attempt in self.gates:
            self.gates[attempt].wait()
        self.ended[attempt] += 1


@pytest.fixture
def work():
    work = Work()
    yield work
    for gate in work.gates.values():
        gate.set()


@pytest.fixture
def threads(work):
    threads = JobThreads(work, MOST)
    threads.top_up()
    return threads


def test_each_attempt_runs_once_and_threads_are_used_again(threads, work):
    for attempt in range(300):
        threads.run(attempt)
        wait_for(lambda until=attempt: len(work.ended) >= until - MOST)  # as places bound it
    wait_for(lambda: len(work.ended) == 300)

    assert set(work.ended.values()) == {1}
    assert len(work.threads) < 100


def test_none_waits_behind_attempts_that_block(threads, work):
    blocking, short = range(MOST), range(MOST, MOST + 40)
    work.gates = {attempt: threading.Event() for attempt in blocking}
    for attempt in blocking:
        threads.run(attempt)
    for attempt in short:
        threads.run(attempt)
    wait_for(lambda: work.ended.keys() == set(short))

    assert set(work.begun) == {*blocking, *short}


def test_what_waits_behind_a_slow_preparation_is_prepared_by_another(threads, work, monkeypatch):
    monkeypatch.setattr(job_threads, "PREPARE_SECONDS", 0)
    work.gates = {0: threading.Event()}
    for attempt in range(3):
        threads.prepare(attempt)
    wait_for(lambda: work.begun)
    assert work.begun.keys() == {0}
    threads.pass_on()
    wait_for(lambda: work.ended.keys() == {1, 2})

    work.gates[0].set()
    threads.prepare(3)
    threads.run(4)
    wait_for(lambda: work.ended.keys() == {0, 1, 2, 3, 4})
    assert set(work.ended.values()) == {1}
