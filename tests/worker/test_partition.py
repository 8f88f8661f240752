"""Whoever is cut off from the server, so that packets vanish, stops in time and comes back.

The switch in front of the server passes nothing on while it is cut, and closes nothing either: as
where a firewall drops packets, each end still takes the other for connected.
"""

import signal
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


@pytest.mark.parametrize("kind", [(), ("--concurrency", "4")], ids=["forking", "pool"])
def test_a_worker_that_is_cut_off_writes_nothing_of_its_job_when_it_is_back(pair, far, near, kind):
    """One in a process of its own is stopped; a pool cannot, and lets it go."""
    redis = pair.old
    queue = far.queue(redis)
    with far.workers(1, *kind):
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


def test_a_worker_that_is_cut_off_stops_when_told_to(pair, far):
    far.settings["SPIGOT_GRACE_SECONDS"] = "0"
    job = far.queue(pair.old).enqueue("nap", {"seconds": 600})
    with far.workers() as worker:
        wait_for(lambda: status_of(pair.old, job.id) == "started")
        pair.cut_off(True)
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0


def test_a_job_that_is_sent_again_is_taken_once_though_its_request_comes_late(pair, far):
    job = {"type": "echo", "payload": {"text": "a"}}
    key = {"Idempotency-Key": "k1"}
    with far.web() as web:
        wait_for(lambda: web.ask("GET", "/readyz")[0] == 200)
        pair.cut_off(True)
        assert web.ask("POST", "/jobs", job, key)[0] == 503
        pair.cut_off(False)  # what was sent meanwhile arrives now
        answers = []
        wait_for(lambda: answers.append(web.ask("POST", "/jobs", job, key)) or answers[-1][0] < 300)
        assert web.ask("POST", "/jobs", job, key)[1]["id"] == answers[-1][1]["id"]
        wait_for(lambda: web.ask("GET", "/readyz")[0] == 200, LONGEST_ANSWER)
        assert pair.old.llen(keys.queue("default")) == 1
