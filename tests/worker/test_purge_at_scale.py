"""A purge of 6,000 jobs while workers live: all lines are written soon, and no alert is due."""

from collections import Counter

import pytest

from spigot.jobs.bucket.control import BucketControl
from spigot.jobs.bucket.metrics import BucketMetricsReader
from tests.support.consistency import read_lines
from tests.support.processes import wait_for

JOBS = 6_000


@pytest.fixture
def numbers():
    """Workers that have little else to do."""
    return {"rate": "1/h", "capacity": 2 * JOBS}


@pytest.mark.slow
def test_a_purge_leaves_no_lines_behind(redis, job_queue, start_worker, tmp_path):
    workers = [start_worker(keep_seconds=600) for _ in range(2)]
    wait_for(lambda: all("serves bucket" in worker.log for worker in workers))
    ids = {job_queue.enqueue("echo", {"value": number}).id for number in range(JOBS)}
    wait_for(lambda: len(read_lines(tmp_path / "results.jsonl")) == 1)  # the first slot is free
    assert BucketControl(redis, by="ada").purge("default", keep_seconds=600) == JOBS - 1

    metrics = BucketMetricsReader(redis)
    wait_for(lambda: metrics.read("default").unlogged == 0, seconds=20)
    lines = read_lines(tmp_path / "results.jsonl")
    assert {line["id"] for line in lines} == ids
    assert Counter(line["status"] for line in lines) == {"finished": 1, "cancelled": JOBS - 1}
    logged = [line for worker in workers for line in worker.log.splitlines()]
    assert len(logged) < 20
