"""Whoever is cut off from the server, so that packets vanish, stops in time and comes back.

The switch in front of the server passes nothing on while it is cut, and closes nothing either: as
where a firewall drops packets, each end still takes the other for connected.
"""

import time
from pathlib import Path

import pytest

from spigot.jobs.store import keys
from tests.support.consistency import problems, status_of
from tests.support.fleet import Fleet
from tests.support.processes import wait_for

pytestmark = pytest.mark.slow

LEASE = 2
LONGEST_ANSWER = 10.0
"""Seconds: what the web waits for the server at most, and much for a busy machine."""


@pytest.fixture
def far(pair, tmp_path):
    """Web and worker beyond the switch."""
    return fleet(pair.url, tmp_path / "far")


@pytest.fixture
def near(pair, tmp_path):
    """A worker beside the server."""
    return fleet(pair.direct_url, tmp_path / "near")


def fleet(url: str, folder: Path) -> Fleet:
    folder.mkdir()
    return Fleet(url, folder, settings={"SPIGOT_LEASE_SECONDS": str(LEASE)})


def said(fleet: Fleet, words: str) -> int:
    return (fleet.folder / "worker.out").read_text().count(words)


def test_a_worker_that_is_cut_off_stops_its_job_and_writes_nothing_when_it_is_back(pair, far, near):
    redis = pair.old
    queue = far.queue(redis)
    with far.workers():
        job = queue.enqueue("nap", {"seconds": 3 * LEASE})
        wait_for(lambda: status_of(redis, job.id) == "started")
        first = redis.hget(keys.job(job.id), "spigot_token")
        pair.cut_off(True)
        with near.workers():
            wait_for(lambda: redis.hget(keys.job(job.id), "spigot_token") != first, 60)
            wait_for(lambda: said(far, "server is away") == 1)
            wait_for(lambda: status_of(redis, job.id) == "finished", 60)
            pair.cut_off(False)
            wait_for(lambda: said(far, "server is back") == 1, 30)
            wait_for(lambda: len(far.log()) + len(near.log()) >= 2, 30)
        last = queue.enqueue("echo", {"text": "a"})  # which only the far one can run now
        wait_for(lambda: status_of(redis, last.id) == "finished", 30)
    assert redis.xlen(keys.results(job.id)) == 1
    ends = [line["status"] for line in far.log() + near.log() if line["id"] == job.id]
    assert sorted(ends) == ["finished", "reaped"]
    assert not list(problems(redis, "default", [job.id, last.id]))


def test_a_web_that_is_cut_off_refuses_in_time_and_goes_on_by_itself(pair, far):
    job = {"type": "echo", "payload": {"text": "a"}}
    with far.web() as web:
        wait_for(lambda: web.ask("POST", "/jobs", job)[0] == 202)
        pair.cut_off(True)
        began = time.monotonic()
        assert web.ask("POST", "/jobs", job)[0] == 503
        assert web.ask("GET", "/readyz")[0] == 503
        assert time.monotonic() - began < LONGEST_ANSWER
        pair.cut_off(False)
        wait_for(lambda: web.ask("POST", "/jobs", job)[0] == 202, LONGEST_ANSWER)
