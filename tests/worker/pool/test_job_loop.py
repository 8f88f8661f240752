"""The event loop of a pool's child: it starts coroutine functions in their slots."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from types import SimpleNamespace

import pytest

from spigot.worker.pool.attempt import current_attempt
from spigot.worker.pool.job_loop import JobLoop
from spigot.worker.pool.named_places import NamedPlaces
from spigot.worker.pool.shared_table import SharedTable
from spigot.worker.running.outcome import Outcome

PLACES = 4


class Work:
    """A loop, and what came of each attempt: the place of one that ended, or why it failed."""

    def __init__(self) -> None:
        self.came: dict[int, object] = {}
        self.loop = JobLoop(SharedTable(PLACES), NamedPlaces(PLACES), self._run, self._fail)
        self.loop._loop.set_task_factory(make_task)

    async def _run(self, attempt, prepared) -> Outcome:
        self.came[attempt.place] = prepared
        return Outcome("finished")

    def _fail(self, attempt, error) -> None:
        self.came[attempt.place] = repr(error)

    def plan(self, place: int, start_at: float = 0.0) -> None:
        attempt = SimpleNamespace(place=place, job=SimpleNamespace(start_at=start_at))
        self.loop.plan(attempt, "ran")

    def live_until(self, condition: Callable[[], bool]) -> None:
        async def watch() -> None:
            while not condition():
                await asyncio.sleep(0.001)

        self.loop._loop.run_until_complete(asyncio.wait_for(watch(), 5))


def make_task(loop, coroutine, context=None):
    """Make a task, but none for an attempt in the first place."""
    attempt = context and context.get(current_attempt)
    if attempt and attempt.place == 0:
        raise MemoryError("no task")
    return asyncio.Task(coroutine, loop=loop, context=context)


@pytest.fixture
def work() -> Iterator[Work]:
    work = Work()
    with closing(work.loop._loop):
        yield work


def test_a_start_that_fails_delays_no_other(work):
    for place in range(3):
        work.plan(place)
    work.live_until(lambda: {1, 2} <= work.came.keys())

    assert work.came == {0: "MemoryError('no task')", 1: "ran", 2: "ran"}


def test_an_attempt_that_cannot_be_started_fails_in_its_slot(work):
    work.plan(0, start_at=time.monotonic() + 0.02)
    work.live_until(lambda: 0 in work.came)

    assert work.came == {0: "MemoryError('no task')"}
