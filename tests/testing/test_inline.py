import time

import pytest

from spigot import create_app, enqueue, enqueue_many
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.settings import load_settings
from spigot.testing import EndlessJobError, inline, inline_worker
from tests.testing import tested_app

APPS = ["tests.testing.tested_app"]


@pytest.fixture(autouse=True)
def files(folder):
    (folder / "buckets.json").write_text('{"ai": {"rate": "1/m"}}')
    (folder / "rate_limits.json").write_text("{}")


@pytest.fixture
def queue():
    with inline(apps=APPS) as queue:
        yield queue


@pytest.fixture(autouse=True)
def no_time_passes():
    began = time.monotonic()
    yield
    assert time.monotonic() - began < 30


def test_runs_a_job_where_it_is_enqueued(queue):
    job = enqueue("summary", {"doc_id": "d1"})

    assert (job.status, job.attempts) == ("finished", 1)
    assert job.result == {"doc_id": "d1", "summary": "short"}
    assert job.progress == {"done": 1, "total": 1, "note": "done"}
    assert queue.jobs == [("summary", {"doc_id": "d1"})]


def test_a_view_gets_a_job_that_has_ended(queue, folder):
    client = tested_app.create_app(folder / "rate_limits.json").test_client()

    assert client.post("/ask/d1").json["status"] == "finished"


def test_retries_go_as_they_would(queue):
    job = enqueue("summary", {"doc_id": "d1", "fails": 2})

    assert (job.status, job.attempts) == ("finished", 3)


def test_a_job_that_fails_for_good_raises_nothing(queue):
    job = enqueue("summary", {"doc_id": "d1", "fails": 9})

    assert (job.status, job.attempts, job.error) == ("failed", 3, "RuntimeError: not yet")


def test_refusals_hold_the_bucket_and_use_no_retry(queue):
    job = enqueue("summary", {"doc_id": "d1", "refusals": 2, "fails": 2})

    assert (job.status, job.attempts) == ("finished", 5)


def test_a_delay_is_over_at_once(queue):
    assert enqueue("summary", {"doc_id": "d1"}, delay=86400).status == "finished"


def test_slots_are_waited_for_in_no_time(queue):
    jobs = [enqueue("summary", {"doc_id": str(n)}) for n in range(8)]

    assert {job.status for job in jobs} == {"finished"}


def test_a_job_may_enqueue_others(queue):
    enqueue("chain", {"left": 3})

    assert tested_app.attempts == ["chain-3", "chain-2", "chain-1", "chain-0"]
    assert {queue.state(job).status for job in queue.enqueued} == {"finished"}


def test_a_paused_bucket_keeps_its_jobs(queue):
    enqueue("chain", {"left": 0})
    BucketControl(connect("redis://in-memory", timeout=1), by="test").set(
        "default", BucketChange(paused=True)
    )

    assert enqueue("chain", {"left": 0}).status == "queued"


@pytest.mark.parametrize("type", ["endless", "ping"])
def test_jobs_without_an_end_are_told(queue, type):
    with pytest.raises(EndlessJobError, match="goes on for ever"):
        enqueue(type)


def test_a_job_that_enqueues_many_is_not_endless(queue, monkeypatch):
    monkeypatch.setattr(inline_worker, "MOST_ROUNDS", 3)
    enqueue("split", {"parts": 4})

    assert tested_app.attempts.count("chain-0") == 4
    assert {queue.state(job).status for job in queue.enqueued} == {"finished"}


def test_many_jobs_that_are_tried_again_are_not_endless(queue):
    jobs = enqueue_many("summary", [{"doc_id": f"d{n}", "fails": 1} for n in range(60)])

    assert {job.status for job in jobs} == {"finished"}
    assert len(tested_app.attempts) == 120


def test_the_api_answers_with_the_end(queue):
    client = create_app(load_settings()).test_client()

    answer = client.post("/jobs", json={"type": "summary", "payload": {"doc_id": "d1"}})

    assert (answer.status_code, answer.json["status"]) == (202, "finished")
