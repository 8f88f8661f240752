"""Who is named as computing, of what the kernel counted of each thread."""

import logging
from unittest.mock import Mock

import pytest

from spigot.worker.pool.computing_jobs import LATE_US, SECOND_NS, ComputingJobs
from spigot.worker.pool.shared_table import WAKE_LATE_US, SharedTable
from spigot.worker.pool.thread_times import ThreadTime

LOOP, FIRST, SECOND = 10, 11, 12
"""Threads: that of the loop, and one for each of two places."""


class Laboratory:
    """A child with two jobs in threads and one on the loop, looked at once a second."""

    def __init__(self, late_us: int) -> None:
        self.stack = ""
        table = SharedTable(3)
        table[WAKE_LATE_US] = late_us
        for place, thread in enumerate((FIRST, SECOND, LOOP)):
            table.enter(place)
            table.begin(place, 0, thread)
        self.child = Mock(pid=LOOP, places=3, table=table, stack_of=lambda _: self.stack)
        self.jobs = ["job a", "job b", "job c"]
        self._ran = dict.fromkeys((LOOP, FIRST, SECOND), 0.0)
        self._waited = dict(self._ran)
        self._now = 0.0
        self._watch = ComputingJobs(lambda _, place: self.jobs[place], lambda _: self._times())

    def second(self, ran: dict[int, float], waited: dict[int, float] | None = None) -> None:
        """Let one pass, in which threads ran and waited for so many seconds."""
        for thread, seconds in ran.items():
            self._ran[thread] += seconds
        for thread, seconds in (waited or {}).items():
            self._waited[thread] += seconds
        self._now += 1
        self._watch.look([self.child], self._now)

    def _times(self) -> dict[int, ThreadTime]:
        return {
            thread: ThreadTime(round(ran * SECOND_NS), round(self._waited[thread] * SECOND_NS))
            for thread, ran in self._ran.items()
        }


@pytest.fixture
def named(caplog):
    caplog.set_level(logging.WARNING)
    return lambda: [record.args[1] for record in caplog.records]


@pytest.mark.parametrize(
    ("late_us", "ran", "waited", "expected"),
    [
        (2 * LATE_US, {FIRST: 0.9}, {}, ["job a"]),
        (2 * LATE_US, {FIRST: 0.1}, {FIRST: 0.8}, ["job a"]),  # on a busy machine
        (2 * LATE_US, {FIRST: 0.45, SECOND: 0.5}, {}, ["job b"]),
        (2 * LATE_US, {FIRST: 0.1}, {}, []),
        (2 * LATE_US, {FIRST: 0.1, SECOND: 0.1, LOOP: 0.1}, {FIRST: 0.8}, []),
        (LATE_US - 1, {FIRST: 0.9}, {}, []),  # it computes without the interpreter's lock
    ],
)
def test_names_the_job_whose_thread_had_most(late_us, ran, waited, expected, named):
    laboratory = Laboratory(late_us)
    for _ in range(5):
        laboratory.second(ran, waited)

    assert named() == expected


def test_a_thread_that_runs_one_short_job_after_the_other_is_none(named):
    laboratory = Laboratory(2 * LATE_US)
    for number in range(5):
        laboratory.jobs[0] = f"job {number}"
        laboratory.second({FIRST: 0.9})

    assert named() == []


def test_the_loop_is_named_by_what_it_runs_at_each_look(named):
    laboratory = Laboratory(2 * LATE_US)
    for stack in ("", "place_00000", "place_00001", "in place_00002", "in place_00002"):
        laboratory.stack = stack
        laboratory.second({LOOP: 0.9})

    assert named() == ["job c"]
