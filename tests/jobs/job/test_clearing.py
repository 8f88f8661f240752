from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.job.clearing import JobClearer
from spigot.jobs.store import keys
from tests.support.clocked_bucket import KEEP_SECONDS, ClockedBucket, work
from tests.support.round_trips import counted_round_trips

EMPTIED = "Cancelled: its queue was emptied by ada@host"


@pytest.fixture
def clearer(redis: Redis) -> JobClearer:
    return JobClearer(redis, keep_seconds=KEEP_SECONDS, by="ada@host")


def ended(bucket: ClockedBucket, job_id: str, how: str) -> None:
    """Bring a job to its end: ``finished``, ``failed`` or ``canceled``."""
    bucket.enqueue(job_id)
    if how == "canceled":
        bucket.cancel(job_id)
        return
    claim = bucket.claim()
    bucket.finish(claim) if how == "finished" else bucket.fail(claim)


def plain_queue(redis: Redis, name: str = "Elsewhere") -> Queue:
    return Queue(name, connection=redis, serializer=JSONSerializer)


def what_is_left(redis: Redis, job_id: str) -> list[bytes]:
    return redis.keys(f"*{job_id}*")


class TestDelete:
    @pytest.mark.parametrize("how", ["finished", "failed", "canceled"])
    def test_nothing_is_left_of_a_job_that_has_ended(self, bucket, clearer, redis, how):
        ended(bucket, "gone", how)
        bucket.enqueue("other")

        assert clearer.delete("gone") == "forgotten"

        assert what_is_left(redis, "gone") == []
        assert redis.zcard(f"rq:{how}:default") == 0
        assert bucket.status("other") == "queued"

    def test_a_job_that_waits_is_cancelled(self, bucket, clearer):
        bucket.enqueue("a")

        assert clearer.delete("a") == "cancelled"

        assert bucket.status("a") == "cancelled"
        assert [line["status"] for line in bucket.log().values()] == ["cancelled"]

    def test_a_job_that_runs_is_told_to_stop(self, bucket, clearer, redis):
        bucket.enqueue("a")
        claim = bucket.claim()
        redis.hset(keys.job("a"), "worker_name", "worker-1")

        assert clearer.delete("a") == "stopping"

        assert bucket.status("a") == "started"
        bucket.finish(claim)
        assert redis.llen(keys.queue("default")) == 0

    @pytest.mark.parametrize("job_id", ["nobody", "", "a:b", "*"])
    def test_there_is_no_such_job(self, bucket, clearer, job_id):
        assert clearer.delete(job_id) is None

    def test_what_waits_for_an_ended_job_is_still_released(self, bucket, clearer, redis):
        parent = plain_queue(redis, "default").enqueue(work, job_id="parent")
        plain_queue(redis, "default").enqueue(work, depends_on=parent)
        bucket.finish(bucket.claim())

        clearer.delete("parent")

        assert Job.exists("parent", redis)
        assert redis.exists("rq:job:parent:dependents")


class TestEmpty:
    def test_a_queue_cancels_what_waits_in_it_alone(self, bucket, clearer, redis):
        bucket.enqueue("running")
        assert bucket.claim().job_id == "running"
        for priority in ("high", "default", "low"):
            bucket.enqueue(priority, priority=priority)
        bucket.enqueue("second")

        assert clearer.empty("default", "queued") == 2

        for job_id in ("default", "second"):
            job = bucket.read(job_id)
            assert (job.status, job.error) == ("cancelled", EMPTIED)
            assert 0 < redis.ttl(keys.job(job_id)) <= KEEP_SECONDS
        assert bucket.status("high") == bucket.status("low") == "queued"
        assert bucket.status("running") == "started"
        assert {line["id"] for line in bucket.log().values()} == {"default", "second"}

    def test_jobs_after_it_know_their_position(self, bucket, clearer, redis):
        for number in range(60):
            bucket.enqueue(f"job-{number}")
        clearer.empty("default", "queued")

        assert [bucket.enqueue("a").position, bucket.enqueue("b").position] == [1, 2]
        assert redis.hget(keys.bucket("default"), "head:default") == b"60"

    @pytest.mark.parametrize("how", ["finished", "failed", "canceled"])
    def test_a_registry_forgets_what_has_ended(self, bucket, clearer, redis, how):
        for number in range(3):
            ended(bucket, f"gone-{number}", how)
        bucket.enqueue("other")
        redis.zadd(f"rq:{how}:default", {"expired": 1})

        assert clearer.empty("default", how) == 4

        assert what_is_left(redis, "gone-") == []
        assert redis.zcard(f"rq:{how}:default") == 0
        assert bucket.status("other") == "queued"

    def test_a_registry_leaves_a_job_that_waits_again(self, bucket, clearer, redis):
        bucket.enqueue("again")
        redis.zadd("rq:failed:default", {"again": 1})

        clearer.empty("default", "failed")

        assert bucket.status("again") == "queued"

    def test_what_runs_is_told_to_stop(self, bucket, clearer, redis):
        bucket.enqueue("a")
        bucket.claim()
        redis.hset(keys.job("a"), "worker_name", "worker-1")

        assert clearer.empty("default", "started") == 1

        assert redis.hget(keys.job("a"), "spigot_stop") == b"1"
        assert bucket.status("a") == "started"

    def test_what_waits_for_another_job_or_a_time_is_cancelled(self, bucket, clearer, redis):
        queue = plain_queue(redis, "default")
        deferred = queue.enqueue(work, depends_on=queue.enqueue(work))
        scheduled = queue.create_job(work)
        scheduled.save()
        scheduled.set_status("scheduled")
        redis.zadd("rq:scheduled:default", {scheduled.id: 2_000_000_000})

        assert clearer.empty("default", "deferred") == 1
        assert clearer.empty("default", "scheduled") == 1

        assert {bucket.status(job.id) for job in (deferred, scheduled)} == {"cancelled"}
        assert redis.zcard("rq:deferred:default") == redis.zcard("rq:scheduled:default") == 0

    def test_what_waits_for_a_retry_is_cancelled_with_the_queue_of_its_bucket(
        self, bucket, clearer, redis
    ):
        for priority in ("high", "default"):
            bucket.enqueue(priority, "retried", priority=priority)
            bucket.retry(bucket.claim(), delay=3600)

        assert clearer.empty("default-high", "scheduled") == 0
        assert clearer.empty("default", "scheduled") == 2

        assert bucket.status("high") == bucket.status("default") == "cancelled"
        assert redis.exists(keys.delayed("default")) == 0
        assert redis.zrange("rq:canceled:default-high", 0, -1) == [b"high"]

    def test_a_queue_of_plain_rq_is_emptied_too(self, redis, clearer):
        queue = plain_queue(redis)
        job = queue.enqueue(work)

        assert clearer.empty("Elsewhere", "queued") == 1

        assert job.get_status() == "canceled"
        assert redis.keys("spigot:*") == []

    @pytest.mark.parametrize("place", ["queued", "scheduled", "failed"])
    def test_of_many_jobs_does_not_keep_the_server_long(self, redis, clearer, monkeypatch, place):
        def fill(*ids):
            if place == "queued":
                redis.rpush(keys.queue("default"), *ids)
            else:
                redis.zadd(f"rq:{place}:default", dict.fromkeys(ids, 1))

        monkeypatch.setattr("spigot.jobs.job.clearing.AT_ONCE", 10)
        fill("first")
        clearer.empty("default", place)  # which loads the script
        fill(*(f"job-{number}" for number in range(21)))

        with counted_round_trips() as sent:
            assert clearer.empty("default", place) == 21

        steps = [command for command in sent if b"EVALSHA" in command]
        assert len(steps) == 3
        assert len(sent) <= 2 + 3  # how many there are, and the steps


class TestCompact:
    def test_takes_out_what_is_no_job_and_keeps_the_order(
        self, bucket, clearer, redis, monkeypatch
    ):
        monkeypatch.setattr("spigot.jobs.job.clearing.AT_ONCE", 4)
        for number in range(10):
            redis.rpush(keys.queue("default"), f"nobody-{number}", f"none-{number}")
            bucket.enqueue(f"job-{number}")

        assert clearer.compact("default") == 20

        left = redis.lrange(keys.queue("default"), 0, -1)
        assert left == [f"job-{number}".encode() for number in range(10)]
        assert [bucket.read(f"job-{n}").position for n in range(10)] == list(range(1, 11))

    def test_of_many_jobs_does_not_keep_the_server_long(self, redis, clearer, monkeypatch):
        monkeypatch.setattr("spigot.jobs.job.clearing.AT_ONCE", 10)
        redis.rpush(keys.queue("default"), "nobody")
        clearer.compact("default")  # which loads the script
        redis.rpush(keys.queue("default"), *(f"nobody-{number}" for number in range(21)))

        with counted_round_trips() as sent:
            assert clearer.compact("default") == 21

        assert len(sent) == 1 + 3  # how many there are, and the steps

    def test_of_a_sound_queue_changes_nothing(self, bucket, clearer, redis):
        bucket.enqueue("a")

        assert clearer.compact("default") == clearer.compact("other") == 0
        assert redis.lrange(keys.queue("default"), 0, -1) == [b"a"]


def test_a_queue_that_is_emptied_while_jobs_leave_loses_none(redis, monkeypatch):
    monkeypatch.setattr("spigot.jobs.job.clearing.AT_ONCE", 3)
    bucket = ClockedBucket(redis, rate="1000000/s", capacity=400)
    ids = {f"job-{number}" for number in range(200)}
    for job_id in ids:
        bucket.enqueue(job_id)

    def empty(_):
        return JobClearer(redis, keep_seconds=60, by="ada").empty("default", "queued")

    with ThreadPoolExecutor(4) as pool:
        emptied = [pool.submit(empty, number) for number in range(3)]
        claimed = set()
        while redis.llen(keys.queue("default")):
            answer = bucket.ask()
            claimed |= {answer.job_id} if isinstance(answer, Claim) else set()
            bucket.sleep(1)
        counts = [each.result() for each in emptied]

    cancelled = {job_id for job_id in ids if bucket.status(job_id) == "cancelled"}
    assert cancelled | claimed == ids
    assert cancelled & claimed == set()
    assert sum(counts) == len(cancelled)
