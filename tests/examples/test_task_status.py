"""The five words for where a task is."""

import pytest

from spigot.examples.task_status import WORDS, task_status
from spigot.jobs.job.state import STATUS, JobState


def job(status, **fields):
    nothing = dict.fromkeys(JobState.__dataclass_fields__)
    return JobState(**{**nothing, "id": "1", "status": status, "attempts": 0, **fields})


def test_there_is_a_word_for_every_status_of_a_job():
    assert set(WORDS) == set(STATUS.values())
    assert set(WORDS.values()) == {"PENDING", "STARTED", "RETRY", "SUCCESS", "FAILURE"}


@pytest.mark.parametrize(
    ("job", "status", "result"),
    [
        (job("queued", position=3), "PENDING", None),
        (job("started", attempts=1), "STARTED", None),
        (job("delayed", attempts=1, error="ValueError: no"), "RETRY", "ValueError: no"),
        (job("queued", attempts=1, position=1), "RETRY", None),
        (job("finished", result="Processed 5"), "SUCCESS", "Processed 5"),
        (job("finished", result=None), "SUCCESS", None),
        (job("failed", error="ValueError: no"), "FAILURE", "ValueError: no"),
        (job("cancelled", error="cancelled"), "FAILURE", "cancelled"),
    ],
)
def test_tells_a_task_by_the_state_of_its_job(job, status, result):
    assert task_status(job) == {"task_id": "1", "status": status, "result": result}
