"""Many jobs at once in a bucket with budgets: one that would never start keeps no other out."""

import json

import pytest

from spigot import EnqueuedJob, IdempotencyConflict, enqueue, enqueue_many
from spigot.jobs.budgets.amounts import to_json
from spigot.jobs.budgets.declared_cost import CostExceedsBurst, InvalidCost
from spigot.jobs.store import keys
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
        with pytest.raises(InvalidCost, match=r"payload 1: cost .*ZeroDivisionError"):
            enqueue_many("work", [{"n": 2}, {"n": 0}])

        assert queue.enqueued == []


def cost_of(queue, job_id):
    return to_json(queue._reader._redis.hget(keys.job(job_id), "spigot_cost").decode())


def test_many_jobs_have_one_cost_or_one_each(app):
    with fake(apps=[app]) as queue:
        payloads = [{"n": 1}, {"n": 2}]
        assert all(isinstance(job, EnqueuedJob) for job in enqueue_many("work", payloads, cost=9))
        given = enqueue_many("work", [*payloads, {"n": 3}], cost=[{"tokens": 51}, None, 50])

        assert [type(each) for each in given] == [CostExceedsBurst, EnqueuedJob, EnqueuedJob]
        costs = [cost_of(queue, job.id) for job in queue.enqueued]
        assert costs == [{"tokens": 9}, {"tokens": 9}, {"tokens": 30}, {"tokens": 50}]


@pytest.mark.parametrize(
    ("cost", "problem"),
    [
        ([1], "2 payloads and 1 costs"),
        ([1, -1], "payload 1: cost .*negative"),
        ([1, {"tokens": float("nan")}], "payload 1: cost .*not finite"),
        ([1, {"money": 1}], "payload 1: cost .*names no budget"),
        ("12", "payload 0: cost .*a str"),
        (True, "payload 0: cost .*bool"),
    ],
)
def test_a_cost_that_cannot_be_used_keeps_all_out(app, cost, problem):
    with fake(apps=[app]) as queue:
        with pytest.raises(ValueError, match=problem):
            enqueue_many("work", [{"n": 2}, {"n": 3}], cost=cost)

        assert queue.enqueued == []


@pytest.mark.parametrize("cost", [-1, {"tokens": float("inf")}, "12", {"tokens": "12"}])
def test_a_bad_cost_is_refused_in_a_bucket_without_budgets_too(app, tmp_path, cost):
    (tmp_path / "buckets.json").write_text(json.dumps({"default": {"rate": "10/s"}}))
    with fake(apps=[app]) as queue:
        with pytest.raises(InvalidCost):
            enqueue("work", {"n": 2}, cost=cost)

        assert enqueue("work", {"n": 2}, cost={"tokens": 12})
        assert len(queue.enqueued) == 1


def test_the_same_key_with_another_cost_is_another_request(app):
    with fake(apps=[app]):
        first = enqueue_many("work", [{"n": 2}], cost=[5], idempotency_key="key")
        again = enqueue_many("work", [{"n": 2}], cost=5, idempotency_key="key")
        (other,) = enqueue_many("work", [{"n": 2}], cost=6, idempotency_key="key")

        assert [job.id for job in again] == [job.id for job in first]
        assert isinstance(other, IdempotencyConflict)
