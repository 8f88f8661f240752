import asyncio
import json
import threading
from contextvars import copy_context

import pytest

from spigot import report_progress
from spigot.jobs.types.progress import progress_told_to


@pytest.fixture
def told():
    """What is reported while the test runs, as in a job."""
    found: list[dict] = []
    with progress_told_to(lambda progress: found.append(json.loads(progress))):
        yield found


def test_is_told_as_the_interface_says(told):
    report_progress(3, 10, "parsing")
    report_progress(0.5, 1.0)
    report_progress(7)

    assert told == [
        {"done": 3, "total": 10, "note": "parsing"},
        {"done": 0.5, "total": 1.0, "note": ""},
        {"done": 7, "total": None, "note": ""},
    ]


def test_does_nothing_outside_of_a_job():
    report_progress(1, 2)


def test_is_told_from_tasks_and_from_threads_with_the_jobs_context(told):
    asyncio.run(asyncio.to_thread(report_progress, 1))
    thread = threading.Thread(target=copy_context().run, args=(report_progress, 2))
    thread.start()
    thread.join()

    assert [progress["done"] for progress in told] == [1, 2]


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "3", None, [], 10**400])
def test_refuses_what_is_no_amount(told, wrong):
    with pytest.raises(ValueError, match="done must be a number >= 0"):
        report_progress(wrong)
    if wrong is not None:
        with pytest.raises(ValueError, match="total must be a number >= 0"):
            report_progress(1, wrong)

    assert told == []


def test_keeps_a_short_note(told):
    report_progress(1, note="x" * 1000)
    report_progress(1, note="ünïcode \ud800 \x00\n")

    assert [len(progress["note"]) for progress in told] == [200, 12]
