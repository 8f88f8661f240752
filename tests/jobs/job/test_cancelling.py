import json
from datetime import timedelta

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job, cancel_job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Wait
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport
from tests.support.clocked_bucket import KEEP_SECONDS, ClockedBucket, work


def traces(redis: Redis, job_id: str) -> set[str]:
    """Return the keys that still know a job, but for its own hash and the list of cancelled."""
    found = set()
    for key in redis.scan_iter():
        name, kind = key.decode(), redis.type(key)
        if name in (keys.job(job_id), "rq:canceled:default", keys.unlogged("default")):
            continue
        members = {
            b"list": lambda key=key: redis.lrange(key, 0, -1),
            b"zset": lambda key=key: redis.zrange(key, 0, -1),
            b"set": lambda key=key: redis.smembers(key),
        }.get(kind, list)()
        if job_id in name or any(job_id.encode() in member for member in members):
            found.add(name)
    return found


def commands(redis: Redis, worker: str = "worker-1"):
    listener = redis.pubsub(ignore_subscribe_messages=True)
    listener.subscribe(f"rq:pubsub:{worker}")
    listener.get_message(timeout=5)
    return listener


def test_a_waiting_job_is_taken_out(bucket, redis):
    bucket.enqueue("gone")
    bucket.enqueue("b")

    answer = bucket.cancel("gone")

    assert answer.outcome == "cancelled"
    assert (answer.job.status, answer.job.position) == ("cancelled", None)
    assert answer.job.error == "Cancelled: before it ran"
    assert bucket.read("b").position == 1
    assert bucket.claim().job_id == "b"
    assert traces(redis, "gone") == set()


def test_a_delayed_job_is_taken_out(bucket, redis):
    bucket.enqueue("gone", "retried")
    bucket.retry(bucket.claim(), delay=5)

    assert bucket.cancel("gone").outcome == "cancelled"
    assert traces(redis, "gone") == {keys.results("gone")}
    bucket.sleep(10)
    assert isinstance(bucket.ask(), Wait)
    assert bucket.status("gone") == "cancelled"


def test_a_running_job_is_marked_and_its_worker_told(bucket, redis):
    listener = commands(redis)
    bucket.enqueue("gone")
    claim = bucket.claim()

    answer = bucket.cancel("gone")

    assert (answer.outcome, answer.job.status) == ("stopping", "started")
    told = json.loads(listener.get_message(timeout=5)["data"])
    assert told == {"command": "stop-job", "job_id": "gone"}
    assert bucket.leases.renew([claim.token], 60, now_us=bucket.now_us).cancelled == {claim.token}
    bucket.leases.complete(
        AttemptReport(claim.token, "work", error="Cancelled: stopped"),
        "cancelled",
        now_us=bucket.now_us,
    )
    assert bucket.status("gone") == "cancelled"
    assert traces(redis, "gone") == set()


@pytest.mark.parametrize("end", ["fail", "retry", "hold", "reap", "give_back"])
def test_a_cancelled_job_never_runs_again_however_its_attempt_ends(bucket, redis, end):
    bucket.enqueue("gone", "retried")
    claim = bucket.claim()
    bucket.cancel("gone")

    if end == "fail":
        bucket.fail(claim)
    elif end == "retry":
        bucket.retry(claim, delay=1)
    elif end == "hold":
        bucket.hold(claim, seconds=1)
    elif end == "reap":
        assert bucket.reap_until_silent() == 1
    else:
        bucket.leases.give_back(AttemptReport(claim.token, "work"), "", now_us=bucket.now_us)

    assert bucket.status("gone") == "cancelled"
    assert [line["status"] for line in bucket.log().values()] == ["cancelled"]
    bucket.sleep(100)
    assert isinstance(bucket.ask(), Wait)
    assert traces(redis, "gone") == set()
    assert redis.zcard("rq:failed:default") == 0


def test_a_function_that_returned_before_it_was_stopped_has_finished(bucket):
    bucket.enqueue("gone")
    claim = bucket.claim()
    bucket.cancel("gone")

    bucket.finish(claim)

    assert bucket.status("gone") == "finished"
    assert bucket.cancel("gone").outcome == "ended"


@pytest.mark.parametrize("end", ["finish", "fail"])
def test_a_job_that_has_ended_is_not_changed(bucket, redis, end):
    bucket.enqueue("gone")
    getattr(bucket, end)(bucket.claim())
    before = redis.hgetall(keys.job("gone"))

    answer = bucket.cancel("gone")

    assert answer.outcome == "ended"
    assert answer.job.status == {"finish": "finished", "fail": "failed"}[end]
    assert redis.hgetall(keys.job("gone")) == before


def test_cancelling_twice_is_told_apart(bucket):
    bucket.enqueue("gone")

    assert [bucket.cancel("gone").outcome for _ in range(2)] == ["cancelled", "ended"]
    assert len(bucket.log()) == 1


@pytest.mark.parametrize("job_id", ["nobody", "", "a:dependents", "*", "ü"])
def test_there_is_no_such_job(bucket, job_id):
    assert bucket.cancel(job_id) is None


def test_is_logged_once_and_counted_as_no_failure(bucket, redis):
    bucket.enqueue("gone")
    bucket.sleep(2)
    bucket.cancel("gone")

    line = next(iter(bucket.log().values()))
    assert line["status"] == "cancelled"
    assert (line["id"], line["type"], line["attempt"], line["worker"]) == ("gone", "work", 0, None)
    assert (line["queued_for"], line["ran_for"], line["slot_at"]) == (2, None, None)
    adopted = bucket.reap()
    assert [json.loads(line)["id"] for line in adopted.lines.values()] == ["gone"]
    counts = redis.hgetall(keys.stats("default"))
    del counts[b"padding"]
    assert counts == {b"enqueued:work": b"1", b"cancelled:work": b"1"}


def test_expires_as_other_ended_jobs_do(bucket, redis):
    bucket.enqueue("gone")
    bucket.cancel("gone")

    assert 0 < redis.ttl(keys.job("gone")) <= KEEP_SECONDS
    assert redis.zcard("rq:canceled:default") == 1
    bucket.sleep(KEEP_SECONDS + 1)
    bucket.reap()
    assert redis.zcard("rq:canceled:default") == 0


def test_takes_one_round_trip(bucket, redis):
    bucket.enqueue("gone")
    bucket.cancel("nobody")  # the script is loaded
    before = redis.info("commandstats")["cmdstat_evalsha"]["calls"]

    bucket.cancel("gone")

    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] == before + 1


class TestPlainRq:
    @pytest.fixture
    def queue(self, redis) -> Queue:
        return Queue("default", connection=redis, serializer=JSONSerializer)

    def test_its_jobs_are_cancelled_here(self, bucket: ClockedBucket, queue, redis):
        waiting = queue.enqueue(work)
        scheduled = queue.enqueue_in(timedelta(hours=1), work)
        deferred = queue.enqueue(work, depends_on=scheduled)

        for job in (waiting, scheduled, deferred):
            assert bucket.cancel(job.id).outcome == "cancelled"
            assert job.get_status(refresh=True) == "canceled"
        assert queue.job_ids == queue.scheduled_job_registry.get_job_ids() == []
        assert queue.deferred_job_registry.get_job_ids() == []
        assert isinstance(bucket.ask(), Wait)

    def test_what_it_cancelled_shows_as_cancelled(self, bucket: ClockedBucket, redis):
        bucket.enqueue("gone")
        cancel_job("gone", connection=redis, serializer=JSONSerializer)

        assert bucket.status("gone") == "cancelled"
        assert isinstance(bucket.ask(), Wait)

    def test_what_its_workers_stopped_has_ended(self, bucket: ClockedBucket, redis):
        bucket.enqueue("gone")
        bucket.claim()
        redis.hset(keys.job("gone"), "status", "stopped")

        assert bucket.cancel("gone").outcome == "ended"
        assert bucket.cancel("gone").outcome == "ended"

    def test_what_it_cancelled_in_our_delayed_set_never_runs(self, bucket: ClockedBucket, redis):
        bucket.enqueue("gone", "retried")
        bucket.retry(bucket.claim(), delay=1)
        cancel_job("gone", connection=redis, serializer=JSONSerializer)

        bucket.sleep(5)
        assert isinstance(bucket.ask(), Wait)
        assert bucket.status("gone") == "cancelled"
        assert redis.zcard(keys.delayed("default")) == 0

    def test_what_it_cancelled_while_it_ran_is_stopped(self, bucket: ClockedBucket, redis):
        bucket.enqueue("gone", "retried")
        claim = bucket.claim()
        Job.fetch("gone", connection=redis, serializer=JSONSerializer).cancel()

        renewed = bucket.leases.renew([claim.token], 60, now_us=bucket.now_us)
        assert renewed.cancelled == {claim.token}
        bucket.retry(claim, delay=1)
        assert bucket.status("gone") == "cancelled"
        assert traces(redis, "gone") == set()
