"""Jobs that wait for a time: retries, and what plain RQ schedules."""

from datetime import UTC, datetime
from itertools import pairwise

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.store import keys
from tests.support.clocked_bucket import KEEP_SECONDS, SECOND_US, START_US, ClockedBucket, work


def test_a_retry_never_comes_early(bucket):
    bucket.enqueue("a", "retried")
    bucket.retry(bucket.claim(), delay=5)
    due_us = bucket.now_us + 5 * SECOND_US

    bucket.now_us = due_us - 1
    assert isinstance(bucket.ask(), Wait)
    assert bucket.status("a") == "delayed"
    bucket.now_us = due_us
    assert isinstance(bucket.ask(), Claim)


@pytest.mark.parametrize("delay", [0.0001, 0.001, 0.0015, 0.25, 3600, 86400 * 400])
def test_delays_are_kept_to_the_millisecond(bucket, delay):
    bucket.now_us += 123  # between two milliseconds
    bucket.enqueue("a", "retried")
    bucket.retry(bucket.claim(), delay)
    begun_us = bucket.now_us

    bucket.now_us = begun_us + round(delay * SECOND_US) - 1
    bucket.ask()
    assert bucket.status("a") == "delayed"
    bucket.now_us = begun_us + round(delay * SECOND_US) + 1000
    bucket.ask()
    assert bucket.status("a") != "delayed"


def test_the_failures_reason_is_shown_while_the_job_waits(bucket):
    bucket.enqueue("a", "retried")
    bucket.retry(bucket.claim(), delay=5, error="ConnectionError: refused")

    job = bucket.read("a")
    assert (job.status, job.error) == ("delayed", "ConnectionError: refused")
    assert (job.attempts, job.position) == (1, None)
    assert job.estimated_start_in == 5
    bucket.sleep(5)
    bucket.claim()
    assert bucket.read("a").error is None


def test_a_retry_without_delay_waits_at_the_end_and_shows_why(bucket):
    bucket.enqueue("a", "retried")
    bucket.enqueue("b")
    bucket.retry(bucket.claim(), delay=0, error="KeyError: 'x'")

    job = bucket.read("a")
    assert (job.status, job.position, job.error) == ("queued", 2, "KeyError: 'x'")
    assert [bucket.claim().job_id, bucket.claim().job_id] == ["b", "a"]


def test_what_ran_out_of_retries_has_failed_with_its_error(bucket, redis):
    bucket.enqueue("a", "retried")
    for _ in range(2):
        bucket.retry(bucket.claim(), delay=1)
    bucket.fail(bucket.claim(), error="KeyError: 'last'")

    job = bucket.read("a")
    assert (job.status, job.attempts, job.error) == ("failed", 3, "KeyError: 'last'")
    assert redis.zrange("rq:failed:default", 0, -1) == [b"a"]
    assert redis.zscore("rq:failed:default", "a") == bucket.now_us // SECOND_US + KEEP_SECONDS
    assert 0 < redis.ttl(keys.job("a")) <= KEEP_SECONDS
    assert [line["status"] for line in bucket.log().values()] == ["retrying", "retrying", "failed"]


def test_rq_sees_the_retries_counted(bucket, redis):
    bucket.enqueue("a", "retried")
    bucket.retry(bucket.claim(), delay=1)

    job = Job.fetch("a", connection=redis, serializer=JSONSerializer)
    assert (job.retries_left, job.number_of_retries) == (1, 1)
    assert job.get_status() == "scheduled"


def test_every_retry_takes_a_slot(bucket):
    for number in range(5):
        bucket.enqueue(f"job-{number}", "retried")
        bucket.retry(bucket.claim(), delay=1)
    bucket.sleep(10)

    slots = [bucket.claim().slot_us for _ in range(5)]

    assert [later - earlier for earlier, later in pairwise(slots)] == [100_000] * 4


def test_jobs_are_promoted_in_the_order_of_their_time(bucket):
    for number, delay in enumerate([3, 1, 2]):
        bucket.enqueue(f"job-{number}", "retried")
        bucket.retry(bucket.claim(), delay)
    bucket.sleep(10)

    assert [bucket.claim().job_id for _ in range(3)] == ["job-1", "job-2", "job-0"]


def test_retries_are_let_in_although_the_bucket_is_full(redis):
    bucket = ClockedBucket(redis, capacity=2)
    bucket.enqueue("a", "retried")
    bucket.retry(bucket.claim(), delay=1)
    bucket.enqueue("b")
    bucket.enqueue("c")
    bucket.sleep(1)

    assert bucket.claim().job_id == "b"
    assert redis.llen(keys.queue("default")) == 2


def test_nothing_is_lost_when_many_are_due_at_once(bucket, redis):
    for number in range(60):
        bucket.enqueue(f"job-{number}", "retried")
        bucket.retry(bucket.claim(), delay=100)
    queue = Queue("default-low", connection=redis, serializer=JSONSerializer)
    for number in range(250):
        queue.enqueue_at(datetime.fromtimestamp(START_US // SECOND_US, UTC), work, str(number))
    bucket.sleep(200)

    ids = {bucket.claim().job_id for _ in range(310)}

    assert len(ids) == 310
    assert isinstance(bucket.ask(), Wait)


def test_a_paused_bucket_promotes_and_keeps(bucket, redis):
    bucket.enqueue("a", "retried")
    bucket.retry(bucket.claim(), delay=1)
    redis.hset(keys.bucket("default"), "paused", 1)
    bucket.sleep(2)

    assert isinstance(bucket.ask(), Wait)
    assert bucket.status("a") == "queued"


def test_a_job_deleted_while_it_was_delayed_leaves_nothing(bucket, redis):
    bucket.enqueue("a", "retried")
    bucket.retry(bucket.claim(), delay=1)
    Job.fetch("a", connection=redis, serializer=JSONSerializer).delete()
    bucket.sleep(2)

    assert isinstance(bucket.ask(), Wait)
    assert not redis.exists(keys.job("a"), keys.delayed("default"), keys.queue("default"))


@pytest.mark.parametrize("end", ["retry", "hold", "reap"])
def test_a_job_deleted_while_it_ran_leaves_nothing(bucket, redis, end):
    bucket.enqueue("a", "retried")
    claim = bucket.claim()
    Job.fetch("a", connection=redis, serializer=JSONSerializer).delete()

    if end == "retry":
        bucket.retry(claim, delay=1)
    elif end == "hold":
        bucket.hold(claim, seconds=1)
    else:
        assert bucket.reap_until_silent() == 1
    bucket.sleep(2)

    assert isinstance(bucket.ask(), Wait)
    assert not redis.exists(keys.job("a"), keys.delayed("default"), keys.queue("default"))


def look_every(step: float, seconds: float, bucket: ClockedBucket) -> None:
    for _ in range(round(seconds / step)):
        assert isinstance(bucket.ask(), Wait)
        bucket.sleep(step)


class TestPlainRq:
    @pytest.fixture
    def queue(self, redis: Redis) -> Queue:
        return Queue("default", connection=redis, serializer=JSONSerializer)

    def test_what_it_schedules_comes_when_it_is_due(self, bucket: ClockedBucket, queue):
        due = datetime.fromtimestamp(START_US // SECOND_US + 60, UTC)
        job = queue.enqueue_at(due, work, "later")

        state = bucket.read(job.id)
        assert (state.status, state.estimated_start_in) == ("delayed", 60)
        bucket.now_us = START_US + 60 * SECOND_US - 1
        assert isinstance(bucket.ask(), Wait)
        bucket.now_us += 1
        assert bucket.ask().job_id == job.id
        assert queue.scheduled_job_registry.count == 0

    def test_all_three_queues_are_promoted(self, bucket: ClockedBucket, redis):
        due = datetime.fromtimestamp(START_US // SECOND_US + 1, UTC)
        jobs = [
            Queue(name, connection=redis, serializer=JSONSerializer).enqueue_at(due, work)
            for name in ("default-low", "default", "default-high")
        ]
        bucket.sleep(1)

        assert [bucket.claim().job_id for _ in jobs] == [job.id for job in reversed(jobs)]

    @pytest.mark.parametrize("seconds", [0, 0.01, 1, 10, 30])
    def test_a_job_that_is_written_after_its_entry_comes(
        self, bucket: ClockedBucket, queue, redis, seconds
    ):
        """RQ adds the entry at once, and the job with the pipeline, as slow as the caller is."""
        pipeline = redis.pipeline()
        due = datetime.fromtimestamp(START_US // SECOND_US, UTC)
        job = queue.enqueue_at(due, work, "later", pipeline=pipeline)
        begun_us = bucket.now_us
        look_every(0.1, seconds, bucket)
        assert isinstance(bucket.ask(), Wait)
        pipeline.execute()

        assert bucket.claim().job_id == job.id
        assert bucket.now_us - begun_us <= (2 * seconds + 1.1) * SECOND_US
        assert queue.scheduled_job_registry.count == 0

    def test_one_that_ended_is_scheduled_again_in_the_same_two_steps(
        self, bucket: ClockedBucket, queue, redis
    ):
        job = queue.enqueue(work, "twice")
        bucket.finish(bucket.claim())
        pipeline = redis.pipeline()
        due = datetime.fromtimestamp(START_US // SECOND_US, UTC)
        queue.schedule_job(job, due, pipeline=pipeline)
        assert isinstance(bucket.ask(), Wait)
        pipeline.execute()

        assert bucket.claim().job_id == job.id

    def test_an_entry_whose_job_never_comes_is_dropped(self, bucket: ClockedBucket, queue, redis):
        redis.zadd(queue.scheduled_job_registry.key, {"a": START_US / SECOND_US, "b": "-inf"})
        look_every(1, 30, bucket)
        assert queue.scheduled_job_registry.count == 2
        look_every(1, 10, bucket)

        assert isinstance(bucket.ask(), Wait)
        assert queue.scheduled_job_registry.count == 0
        assert not redis.exists(keys.job("a"), keys.job("b"), keys.queue("default"))

    def test_an_entry_of_a_job_that_waits_elsewhere_since_is_dropped(
        self, bucket: ClockedBucket, queue, redis
    ):
        """A cancelled job leaves one where the script that cancels it fails half-way."""
        job = queue.enqueue(work)
        bucket.cancel(job.id)
        redis.zadd(queue.scheduled_job_registry.key, {job.id: START_US / SECOND_US})
        bucket.ask()
        queue.enqueue_job(Job.fetch(job.id, connection=redis, serializer=JSONSerializer))
        redis.hdel(keys.job(job.id), "spigot_stop")
        bucket.set(paused=True)
        look_every(1, 40, bucket)

        assert redis.lrange(keys.queue("default"), 0, -1) == [job.id.encode()]
        assert queue.scheduled_job_registry.count == 0

    def test_a_watcher_looks_again_when_the_next_one_is_due(self, bucket: ClockedBucket, queue):
        queue.enqueue_at(datetime.fromtimestamp(START_US // SECOND_US + 3600, UTC), work)
        assert bucket.ask().seconds <= 1

        bucket.enqueue("a", "retried")
        bucket.retry(bucket.claim(), delay=0.2)
        assert bucket.ask().seconds == pytest.approx(0.2, abs=0.002)


def test_the_first_job_of_a_queue_that_nothing_ever_left_is_first(bucket, redis):
    queue = Queue("default-low", connection=redis, serializer=JSONSerializer)
    job = queue.enqueue_at(datetime.fromtimestamp(START_US // SECOND_US, UTC), work)
    bucket.set(paused=True)
    bucket.ask()

    assert bucket.read(job.id).position == 1


@pytest.mark.parametrize("delay", [0.799, 0.8, 0.801, 0.9, 0.999, 1.0])
def test_a_watcher_is_exact_for_a_job_that_is_due_about_when_it_would_look_anyway(bucket, delay):
    bucket.enqueue("a", "retried")
    bucket.retry(bucket.claim(), delay)

    answer = bucket.ask()

    assert isinstance(answer, Wait)
    assert answer.exact
    assert answer.seconds == pytest.approx(delay)
