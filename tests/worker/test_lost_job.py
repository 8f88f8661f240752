"""A worker, as it is installed, finds a job that is in no place, and runs it."""

import pytest

from spigot.jobs.store import keys
from tests.support.consistency import problems, status_of, wait_for_lines
from tests.support.processes import wait_for


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_a_worker_brings_a_lost_job_back_and_runs_it(redis, job_queue, start_worker, tmp_path):
    """As slow as in production: ten seconds after the start, a lease, and five seconds."""
    job = job_queue.enqueue("echo", {"value": 1})
    redis.delete(keys.queue("default"))
    worker = start_worker(lease_seconds=1)
    wait_for(lambda: status_of(redis, job.id) == "finished", 60)

    assert f"job {job.id} was queued, but in no queue; it waits again" in worker.log
    (line,) = wait_for_lines(tmp_path / "results.jsonl", 1)
    assert (line["status"], line["attempt"]) == ("finished", 1)
    assert redis.hget(keys.stats("default"), "brought_back:echo") == b"1"
    assert not list(problems(redis, "default", [job.id]))
