"""A worker that finds a bucket of a newer version stops, and says so in one line."""

from spigot.jobs.store import keys
from tests.support.consistency import status_of
from tests.support.processes import wait_for

HASH = keys.bucket("default")
LINE = "bucket 'default' was written by a newer version of Spigot (schema 2): upgrade this one"


def test_a_worker_does_not_start_in_a_newer_bucket(redis, job_queue, start_worker):
    job = job_queue.enqueue("echo", {"value": 1})
    redis.hset(HASH, "schema", 2)

    worker = start_worker()

    assert worker.wait() != 0
    assert worker.log.count(LINE) >= 1
    assert status_of(redis, job.id) == "queued"


def test_a_worker_that_runs_stops_when_its_bucket_is_newer(redis, job_queue, start_worker):
    first = job_queue.enqueue("echo", {"value": 1})
    worker = start_worker()
    wait_for(lambda: status_of(redis, first.id) == "finished")
    redis.hset(HASH, "schema", 2)

    assert worker.wait() != 0
    assert LINE in worker.log


def test_the_command_ends_with_one_line(redis, fleet):
    fleet.queue(redis)
    redis.hset(HASH, "schema", 2)

    for options in ([], ["--simple"], ["--until-empty"]):
        ended = fleet.spigot("worker", "default", *options)
        assert ended.returncode == 1
        assert ended.stderr.count(LINE) == 1
        assert ended.stderr.strip().splitlines()[-1] == f"Error: {LINE}"
    changed = fleet.spigot("bucket", "rate", "default", "5/s")
    assert (changed.returncode, changed.stderr) == (1, f"Error: {LINE}\n")
    shown = fleet.spigot("bucket", "show", "default")
    assert shown.returncode == 0, shown.stderr
    submitted = fleet.spigot("job", "submit", "echo", "{}")
    assert (submitted.returncode, submitted.stderr) == (1, f"Error: {LINE}\n")
