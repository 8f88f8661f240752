from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.job.queue import BucketRefusal
from spigot.jobs.job.requeueing import JobRequeuer, NotFailed, PlainQueueError, Requeued
from spigot.jobs.job.state import JobState
from spigot.jobs.store import keys
from tests.support.clocked_bucket import ClockedBucket, work
from tests.support.round_trips import counted_round_trips


@pytest.fixture
def requeuer(redis: Redis) -> JobRequeuer:
    return JobRequeuer(redis)


def fail(bucket: ClockedBucket, job_id: str, type: str = "work", **options) -> None:
    bucket.enqueue(job_id, type, **options)
    bucket.fail(bucket.claim())


def test_a_failed_job_waits_at_the_end_of_its_queue(bucket, requeuer, redis):
    fail(bucket, "failed", priority="low")
    bucket.enqueue("other", priority="low")
    bucket.sleep(60)

    job = requeuer.requeue("failed", now_us=bucket.now_us)

    assert (job.status, job.priority, job.position) == ("queued", "low", 2)
    assert (job.error, job.ended_at, job.started_at) == (None, None, None)
    assert redis.zcard("rq:failed:default-low") == 0
    assert redis.ttl(keys.job("failed")) == -1
    assert [bucket.claim().job_id for _ in range(2)] == ["other", "failed"]


def test_it_has_all_its_retries_again_and_waits_from_now_on(bucket, requeuer, redis):
    bucket.enqueue("failed", "retried")
    for _ in range(2):
        bucket.retry(bucket.claim(), delay=0)
    bucket.fail(bucket.claim())
    bucket.sleep(60)

    job = requeuer.requeue("failed", now_us=bucket.now_us)

    assert job.attempts == 3
    rq_job = Job.fetch("failed", connection=redis, serializer=JSONSerializer)
    assert (rq_job.retries_left, rq_job.number_of_retries) == (2, None)
    bucket.sleep(1)
    bucket.finish(bucket.claim())
    assert list(bucket.log().values())[-1]["queued_for"] == 1


def test_one_that_used_no_retry_has_those_that_it_had(bucket, requeuer, redis):
    fail(bucket, "failed", "retried")

    requeuer.requeue("failed", now_us=bucket.now_us)

    assert redis.hget(keys.job("failed"), "retries_left") == b"2"


def test_the_first_that_waits_wakes_a_worker(bucket, requeuer, redis):
    fail(bucket, "first")
    fail(bucket, "second")
    redis.delete(keys.wake_up("default"))

    requeuer.requeue("first", now_us=bucket.now_us)
    assert redis.delete(keys.wake_up("default")) == 1
    requeuer.requeue("second", now_us=bucket.now_us)
    assert redis.delete(keys.wake_up("default")) == 0


def test_an_abandoned_job_may_be_reaped_as_often_again(bucket, requeuer, redis):
    bucket.enqueue("failed")
    for _ in range(3):
        bucket.claim()
        assert bucket.reap_until_silent() == 1
    assert bucket.read("failed").error.startswith("Abandoned")

    requeuer.requeue("failed", now_us=bucket.now_us)

    assert redis.hget(keys.job("failed"), "spigot_reaps") is None


@pytest.mark.parametrize("state", ["queued", "started", "delayed", "finished", "cancelled"])
def test_only_failed_jobs_are_requeued(bucket, requeuer, redis, state):
    bucket.enqueue("kept", "retried")
    if state == "cancelled":
        bucket.cancel("kept")
    elif state != "queued":
        claim = bucket.claim()
        if state == "delayed":
            bucket.retry(claim, delay=60)
        elif state == "finished":
            bucket.finish(claim)
    before = redis.hgetall(keys.job("kept"))

    answer = requeuer.requeue("kept", now_us=bucket.now_us)

    assert isinstance(answer, NotFailed)
    assert answer.job.status == state
    assert redis.hgetall(keys.job("kept")) == before


@pytest.mark.parametrize("job_id", ["nobody", "", "a:b", "*"])
def test_there_is_no_such_job(requeuer, bucket, job_id):
    assert requeuer.requeue(job_id) is None


def test_a_full_bucket_refuses_it_and_keeps_it_failed(redis, requeuer):
    bucket = ClockedBucket(redis, capacity=1)
    fail(bucket, "failed")
    bucket.enqueue("other")

    answer = requeuer.requeue("failed", now_us=bucket.now_us)

    assert isinstance(answer, BucketRefusal)
    assert (answer.bucket, answer.draining) == ("default", False)
    assert answer.retry_after_ms >= 1
    assert bucket.status("failed") == "failed"
    assert redis.zcard("rq:failed:default") == 1


def test_a_draining_bucket_refuses_it(bucket, requeuer, redis):
    fail(bucket, "failed")
    redis.hset(keys.bucket("default"), "draining", 1)

    assert requeuer.requeue("failed").draining


def test_a_job_of_no_bucket_is_left_to_rqs_tools(redis, requeuer):
    queue = Queue("Elsewhere", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue(work)
    job.set_status("failed")

    with pytest.raises(PlainQueueError):
        requeuer.requeue(job.id)


def test_many_at_once_requeue_a_job_once(bucket, redis):
    fail(bucket, "failed")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: JobRequeuer(redis).requeue("failed"), range(16)))

    assert sum(isinstance(answer, JobState) for answer in answers) == 1
    assert redis.lrange(keys.queue("default"), 0, -1) == [b"failed"]


class TestAllFailed:
    def test_are_requeued_the_oldest_first(self, redis, requeuer):
        bucket = ClockedBucket(redis, rate="1000/s", capacity=1000)
        ids = [f"job-{number:03}" for number in reversed(range(230))]
        for job_id in ids:
            fail(bucket, job_id)  # a millisecond apart

        assert requeuer.requeue_all_failed(["default"]) == Requeued(230, ())
        assert redis.lrange(keys.queue("default"), 0, -1) == [job_id.encode() for job_id in ids]

    def test_are_left_where_a_bucket_is_full(self, redis, requeuer):
        bucket = ClockedBucket(redis, rate="1000/s", capacity=150)
        for number in range(230):
            fail(bucket, f"job-{number:03}")

        answer = requeuer.requeue_all_failed(["default"])

        assert answer.count == 150
        assert [full.bucket for full in answer.refused] == ["default"]
        assert redis.zcard("rq:failed:default") == 80

    def test_of_all_three_queues(self, bucket, requeuer):
        for priority in ("low", "high", "default"):
            fail(bucket, priority, priority=priority)

        assert requeuer.requeue_all_failed(["default"]).count == 3

    def test_may_have_expired(self, bucket, requeuer, redis):
        for number in range(3):
            fail(bucket, f"job-{number}")
        redis.delete(keys.job("job-1"))

        assert requeuer.requeue_all_failed(["default"]).count == 2

    def test_are_none(self, bucket, requeuer):
        assert requeuer.requeue_all_failed(["default", "other"]) == Requeued(0, ())

    def test_take_few_round_trips(self, redis, requeuer):
        bucket = ClockedBucket(redis, rate="1000/s", capacity=1000)
        fail(bucket, "first")
        requeuer.requeue_failed_of("default")  # which loads the script
        for number in range(201):
            fail(bucket, f"job-{number}")

        with counted_round_trips() as sent:
            assert requeuer.requeue_failed_of("default") == (201, None)

        assert len(sent) <= 1 + 10  # how many there are, and the steps

    def test_of_no_bucket_are_left_to_rqs_tools(self, redis, requeuer):
        queue = Queue("Elsewhere", connection=redis, serializer=JSONSerializer)
        job = queue.enqueue(work)
        job.set_status("failed")
        queue.failed_job_registry.add(job, 60)

        with pytest.raises(PlainQueueError):
            requeuer.requeue_failed_of("Elsewhere")

    def test_are_requeued_once_by_many_at_once(self, redis, monkeypatch):
        monkeypatch.setattr("spigot.jobs.job.requeueing.AT_ONCE", 7)
        bucket = ClockedBucket(redis, rate="1000/s", capacity=400)
        for number in range(200):
            fail(bucket, f"job-{number}")

        with ThreadPoolExecutor(8) as pool:
            answers = list(
                pool.map(lambda _: JobRequeuer(redis).requeue_failed_of("default"), range(8))
            )

        assert sum(count for count, _ in answers) == 200
        waiting = redis.lrange(keys.queue("default"), 0, -1)
        assert len(waiting) == len(set(waiting)) == 200
