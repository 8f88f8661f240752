"""Budgets with real workers: what a job reports is settled when its attempt ends."""

import pytest

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.job.details import JobDetailsReader
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.job.state import JobReader
from tests.support.processes import wait_for


@pytest.fixture
def numbers():
    return {
        "rate": "100/s",
        "budgets": {
            "tokens": {"limit": "6/m", "burst": 100, "cost": 1},
            "jobs": {"limit": "6/m", "cost": 1},
        },
    }


@pytest.mark.parametrize("options", [{}, {"simple": True}, {"concurrency": 2}])
def test_what_a_job_reports_is_settled(redis, start_worker, catalog, numbers, options):
    configs = {"default": BucketConfig.model_validate(numbers)}
    queue = JobQueue(redis, catalog, configs, keep_seconds=600)
    job = queue.enqueue("spend", {"tokens": 30}, cost={"tokens": 80})

    start_worker(**options)
    wait_for(lambda: JobReader(redis).read(job.id).status == "finished")

    budgets = BucketReader(redis).read("default").budgets
    assert 25 < budgets["tokens"].level <= 30
    assert budgets["tokens"].upstream.limit == 500
    assert budgets["tokens"].held == budgets["jobs"].held == 0
    details = JobDetailsReader(redis).read(job.id)
    assert details.cost == {"tokens": 80, "jobs": 1}
    assert details.cost_actual == {"tokens": 30}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "type"),
    [
        ({}, "overspend"),
        ({"simple": True}, "overspend"),
        ({"concurrency": 2}, "overspend"),
        ({"concurrency": 2}, "overspend_async"),
    ],
)
def test_use_beyond_the_reservation_is_charged_while_the_job_runs(
    redis, start_worker, catalog, numbers, tmp_path, options, type
):
    configs = {"default": BucketConfig.model_validate(numbers)}
    queue = JobQueue(redis, catalog, configs, keep_seconds=600)
    payload = {"folder": str(tmp_path), "tokens": 30}
    job = queue.enqueue(type, payload, cost={"tokens": 5})

    start_worker(**options)

    def tokens():
        return BucketReader(redis).read("default").budgets["tokens"]

    wait_for(lambda: tokens().held == 30 and tokens().upstream)
    assert JobReader(redis).read(job.id).status == "started"
    assert tokens().upstream.limit == 500
    (tmp_path / "go").touch()
    wait_for(lambda: JobReader(redis).read(job.id).status == "finished")
    assert tokens().held == 0
    assert 25 < tokens().level <= 30
    result = JobReader(redis).read(job.id).result
    assert result == "the job's bucket has no budget 'tokns'; known: jobs, tokens"
