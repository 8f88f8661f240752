"""How late a function was called, as its work horse tells it."""

import os
import time
from collections.abc import Callable

import pytest

from spigot.runtime.stop_signals import StopSignals
from spigot.worker.running.outcome import Outcome
from spigot.worker.running.work_horse import WorkHorse
from tests.support.processes import wait_for

DONE = Outcome("finished", result='"done"')


@pytest.fixture
def wake() -> StopSignals:
    """Signals that never come."""
    return StopSignals()


def ended(wake: StopSignals, run: Callable[[], Outcome], start_at: float) -> WorkHorse:
    horse = WorkHorse(lambda: run, start_at)
    wait_for(lambda: horse.wait(0.1, wake))
    horse.reap()
    return horse


def test_tells_how_long_after_its_slot_it_started(wake):
    horse = ended(wake, lambda: DONE, time.monotonic() - 0.25)

    assert 250_000 <= horse.late_us < 10_000_000
    assert horse.outcome == DONE


def test_a_horse_that_dies_in_its_function_has_told(wake):
    horse = ended(wake, lambda: os._exit(3), time.monotonic())

    assert horse.started
    assert horse.late_us >= 0
    assert horse.outcome is None


def test_a_horse_that_is_killed_before_its_slot_was_not_late(wake):
    horse = WorkHorse(lambda: lambda: DONE, time.monotonic() + 60)
    horse.kill()
    wait_for(lambda: horse.wait(0.1, wake))
    horse.reap()

    assert not horse.started
    assert horse.late_us is None
    assert horse.outcome is None
