"""A worker that learns of its claim when the lease has run out leaves the job to others."""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from spigot.jobs.store import keys
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms
from tests.support.consistency import status_of
from tests.support.holding_proxy import HoldingProxy
from tests.support.processes import wait_for

CLAIMED = re.compile(rb"\n(job|new)\r\n")
"""What ``leak.lua`` answers to a claim begins so."""


@pytest.mark.parametrize("kind", [{}, {"simple": True}, {"concurrency": 3}], ids=str)
def test_a_claim_that_has_run_out_is_not_begun(redis, start_worker, job_queue, tmp_path, kind):
    server = redis.connection_pool.connection_kwargs
    terms = LeaseTerms(lease_ms=1_000, max_reaps=3, keep_seconds=60)
    others = LeaseStore(redis, "default", "other", terms)
    job = job_queue.enqueue("note_start", {"folder": str(tmp_path), "is_refused": False}).id
    with TemporaryDirectory() as folder:  # the path of a socket must be short
        proxy = HoldingProxy(Path(server["path"]), Path(folder) / "redis.sock", CLAIMED.search)
        url = f"{proxy.url}?db={server.get('db', 0)}"
        worker = start_worker(redis_url=url, lease_seconds=1, **kind)
        wait_for(lambda: proxy.is_holding)
        wait_for(lambda: others.reap() and redis.llen(keys.queue("default")))
        proxy.release()
        wait_for(lambda: status_of(redis, job) == "finished")
        assert worker.stop() == 0
        proxy.close()

    assert [mark.name for mark in tmp_path.glob("*.started")] == [f"{job}-2.started"]
    assert "is not ours any more" in worker.log


@pytest.mark.parametrize(
    ("kind", "type"),
    [
        ({}, "begin_late"),
        ({"simple": True}, "begin_late"),
        ({"concurrency": 3}, "begin_late"),
        ({"concurrency": 3}, "begin_late_on_loop"),
    ],
    ids=str,
)
def test_a_job_that_takes_longer_than_a_lease_to_begin_begins(
    redis, start_worker, job_queue, kind, type
):
    job = job_queue.enqueue(type, {"seconds": 1.3}).id
    worker = start_worker(lease_seconds=1, **kind)

    wait_for(lambda: status_of(redis, job) == "finished")
    assert redis.hget(keys.job(job), "spigot_attempts") == b"1"
    assert worker.stop() == 0
