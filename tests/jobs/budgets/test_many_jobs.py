"""Many jobs at once in a bucket with budgets: one that would never start keeps no other out."""

import json

import pytest

from spigot import EnqueuedJob, enqueue_many
from spigot.jobs.budgets.declared_cost import CostExceedsBurst, InvalidCost
from spigot.testing import fake

APP = """
from spigot import job_type

@job_type("work", cost=lambda n: 60 / n)
def work(n: int) -> None: ...
"""


@pytest.fixture
def app(tmp_path, monkeypatch):
    name = f"many_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(APP)
    (tmp_path / "buckets.json").write_text(
        json.dumps({"default": {"rate": "10/s", "budgets": {"tokens": "50/m"}}})
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SPIGOT_BUCKETS", str(tmp_path / "buckets.json"))
    return name


def test_a_job_that_would_never_start_is_told_and_the_others_are_taken_in(app):
    with fake(apps=[app]) as queue:
        first, second, third = enqueue_many("work", [{"n": 2}, {"n": 1}, {"n": 3}])

        assert isinstance(first, EnqueuedJob)
        assert isinstance(third, EnqueuedJob)
        assert isinstance(second, CostExceedsBurst)
        assert (second.cost, second.largest) == (60, 50)
        assert [job.payload for job in queue.enqueued] == [{"n": 2}, {"n": 3}]


def test_a_cost_that_cannot_be_reckoned_keeps_all_out(app):
    with fake(apps=[app]) as queue:
        with pytest.raises(InvalidCost, match="ZeroDivisionError"):
            enqueue_many("work", [{"n": 2}, {"n": 0}])

        assert queue.enqueued == []
