"""Progress as clients see it, while real workers run the jobs."""

import json
import time

import pytest

from spigot.jobs.job.state import JobReader
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.running.progress_writer import INTERVAL_SECONDS, ProgressWriter
from tests.support.processes import wait_for


def progress(redis, job_id: str):
    return JobReader(redis).read(job_id).progress


def revision(redis, job_id: str) -> int:
    return int(redis.hget(keys.job(job_id), "spigot_revision"))


@pytest.mark.slow
def test_the_last_value_is_kept_however_often_it_is_told(fleet, redis):
    job = fleet.queue(redis).enqueue("count", {"reports": 20_000, "seconds": 0})
    with fleet.workers():
        fleet.wait_for_lines(1)

    assert progress(redis, job.id) == {"done": 20_000, "total": 20_000, "note": "number 20000"}


@pytest.mark.slow
def test_a_few_values_a_second_are_written(fleet, redis):
    job = fleet.queue(redis).enqueue("count", {"reports": 1000, "seconds": 1})
    with fleet.workers():
        lines = fleet.wait_for_lines(1)

    changes = revision(redis, job.id) - 3  # enqueued, started, finished
    assert 2 <= changes <= lines[0]["ran_for"] / INTERVAL_SECONDS + 1


def test_a_value_is_shown_although_the_job_says_nothing_more(fleet, redis):
    queue = fleet.queue(redis)
    job = queue.enqueue("count", {"reports": 2, "seconds": 0, "pause": 60})
    with fleet.workers():
        wait_for(lambda: progress(redis, job.id) == {"done": 2, "total": 2, "note": "number 2"}, 5)
        assert JobReader(redis).read(job.id).status == "started"
        redis.hset(keys.job(job.id), "spigot_stop", 1)
        wait_for(lambda: JobReader(redis).read(job.id).ended)


def test_a_job_that_reports_nothing_has_nothing_to_tell_at_its_end(redis):
    assert ProgressWriter(redis).of("token").last == ""


def test_an_attempt_that_has_ended_writes_nothing(bucket, redis):
    bucket.enqueue("a")
    claim = bucket.claim()
    writer = ProgressWriter(redis)
    progress = writer.of(claim.token)
    progress.report(json.dumps({"done": 1, "total": 2, "note": ""}))
    wait_for(lambda: bucket.read("a").progress == {"done": 1, "total": 2, "note": ""})
    bucket.finish(claim)
    before = revision(redis, "a")

    progress.report(json.dumps({"done": 2, "total": 2, "note": ""}))
    time.sleep(INTERVAL_SECONDS + 0.1)
    writer.close()

    assert revision(redis, "a") == before
    assert bucket.read("a").progress["done"] == 1


def test_an_attempt_begins_without_the_progress_of_the_one_before(bucket):
    bucket.enqueue("a", "retried")
    claim = bucket.claim()
    bucket.leases.give_back(
        AttemptReport(claim.token, "work", error="x", progress='{"done": 9}'),
        "retrying",
        delay_us=0,
    )
    assert bucket.read("a").progress == {"done": 9}

    bucket.claim()
    assert bucket.read("a").progress is None
