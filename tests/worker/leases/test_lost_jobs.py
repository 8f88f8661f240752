"""Jobs that are in no place are found and brought back, and no others are."""

import json
from dataclasses import dataclass, field

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.metrics import BucketMetricsReader
from spigot.jobs.store import keys
from spigot.worker.leases.lease_answers import Reaped
from spigot.worker.leases.lease_terms import LeaseTerms
from spigot.worker.leases.lost_jobs import LostJobs
from tests.support.clocked_bucket import KEEP_SECONDS, ClockedBucket, work
from tests.support.consistency import problems
from tests.support.redis_content import content

LEASE = 15
ROUND = 600
TERMS = LeaseTerms(lease_ms=LEASE * 1000, max_reaps=3, keep_seconds=KEEP_SECONDS)


@dataclass
class Search:
    """Workers that search in a bucket's time."""

    bucket: ClockedBucket
    found: Reaped = field(default_factory=lambda: Reaped({}, [], 0))

    def look(self, worker: str = "worker-1") -> float:
        lost_jobs = LostJobs(self.bucket.redis, worker, TERMS)
        while not (pause := lost_jobs.look_at_slice(self.found, now_us=self.bucket.now_us)):
            pass
        return pause

    def finish_round(self) -> None:
        """Search until the next round is to be waited for."""
        for _ in range(10_000):
            pause = self.look()
            if pause > 60:
                return
            self.bucket.sleep(pause)
        raise AssertionError("the round has no end")

    @property
    def ids(self) -> list[str]:
        return sorted(text.split()[0] for text in self.found.brought_back)


@pytest.fixture
def search(bucket: ClockedBucket) -> Search:
    return Search(bucket)


@pytest.fixture
def rq_queue(redis: Redis) -> Queue:
    return Queue("default", connection=redis, serializer=JSONSerializer)


def is_well(bucket: ClockedBucket, *ids: str) -> bool:
    return list(problems(bucket.redis, "default", ids)) == []


class TestLost:
    def test_queued_in_no_queue(self, bucket, redis, search):
        for name in ("before", "lost", "behind"):
            bucket.enqueue(name)
        redis.lrem("rq:queue:default", 0, "lost")
        search.finish_round()

        assert search.found.brought_back == ["lost was queued, but in no queue; it waits again"]
        assert search.found.lines == {}
        assert redis.lrange("rq:queue:default", 0, -1) == [b"before", b"behind", b"lost"]
        assert redis.delete(keys.wake_up("default"))
        assert is_well(bucket, "before", "lost", "behind")

    def test_started_without_a_lease(self, bucket, redis, search):
        bucket.enqueue("lost")
        bucket.enqueue("next")
        claim = bucket.claim()
        redis.delete(keys.lease(claim.token))
        redis.zrem(keys.leases("default"), claim.token)
        search.finish_round()

        assert search.found.brought_back == ["lost was started, but under no lease; it waits again"]
        (line,) = map(json.loads, search.found.lines.values())
        assert (line["id"], line["status"], line["attempt"]) == ("lost", "reaped", 1)
        assert line["error"] == "it was started, but under no lease"
        assert list(bucket.log()) == list(search.found.lines)
        assert redis.lrange("rq:queue:default", 0, -1) == [b"lost", b"next"]
        assert is_well(bucket, "lost", "next")
        assert bucket.claim().attempt == 2

    def test_a_lease_that_does_not_name_its_job(self, bucket, redis, search):
        bucket.enqueue("lost")
        claim = bucket.claim()
        redis.hdel(keys.lease(claim.token), "job")
        search.finish_round()

        assert search.ids == ["lost"]
        assert is_well(bucket, "lost")
        assert bucket.claim().job_id == "lost"

    def test_a_lease_that_nobody_would_reap_is_listed_again(self, bucket, redis, search):
        bucket.enqueue("lost")
        claim = bucket.claim()
        redis.zrem(keys.leases("default"), claim.token)
        search.finish_round()

        assert "it has one again" in search.found.brought_back[0]
        assert is_well(bucket, "lost")
        bucket.sleep(5)
        assert bucket.finish(claim) is not None  # its worker may live

    def test_scheduled_in_no_set_waits_for_its_time(self, bucket, redis, search):
        bucket.enqueue("lost", "retried")
        bucket.retry(bucket.claim(), delay=900)
        redis.delete(keys.delayed("default"))
        search.finish_round()

        assert search.ids == ["lost"]
        assert bucket.status("lost") == "delayed"
        assert is_well(bucket, "lost")

    def test_scheduled_for_a_time_that_is_over_waits_in_its_queue(self, bucket, redis, search):
        bucket.enqueue("lost", "retried")
        bucket.retry(bucket.claim(), delay=5)
        redis.delete(keys.delayed("default"))
        search.finish_round()

        assert bucket.status("lost") == "queued"
        assert is_well(bucket, "lost")

    def test_a_job_that_was_to_stop_is_cancelled(self, bucket, redis, search):
        bucket.enqueue("lost")
        claim = bucket.claim()
        bucket.cancel("lost")
        redis.delete(keys.lease(claim.token), keys.leases("default"))
        search.finish_round()

        assert bucket.status("lost") == "cancelled"
        assert [json.loads(line)["status"] for line in search.found.lines.values()] == ["cancelled"]
        assert is_well(bucket, "lost")

    def test_jobs_of_plain_rq(self, bucket, redis, search, rq_queue):
        job = rq_queue.enqueue(work)
        redis.delete(rq_queue.key)
        search.finish_round()

        assert search.ids == [job.id]
        assert redis.lrange(rq_queue.key, 0, -1) == [job.id.encode()]

    def test_is_counted(self, bucket, redis, search):
        bucket.enqueue("lost")
        redis.delete("rq:queue:default")
        search.finish_round()

        counts = BucketMetricsReader(redis).read("default", bucket.now_us).counts
        assert counts["brought_back", "work"] == 1


class TestNotLost:
    def unchanged(self, bucket: ClockedBucket, search: Search) -> None:
        before = ours(bucket.redis)
        search.finish_round()
        bucket.sleep(ROUND)
        search.finish_round()

        assert search.found.brought_back == []
        assert ours(bucket.redis) == before

    def test_whatever_is_in_its_place(self, bucket, redis, search, rq_queue):
        for name in ("running", "delayed", "ended", "cancelled", "failed", "waits"):
            bucket.enqueue(name, "retried")
        bucket.claim()
        bucket.retry(bucket.claim(), delay=3600)
        bucket.finish(bucket.claim())
        bucket.cancel("cancelled")
        bucket.fail(bucket.claim())
        parent = rq_queue.enqueue(work)
        rq_queue.enqueue(work, depends_on=parent)
        redis.zadd("rq:scheduled:default", {"timed": 4e9})
        Job.create(work, id="timed", origin="default", status="scheduled", connection=redis).save()

        self.unchanged(bucket, search)

    def test_a_job_that_is_being_made(self, bucket, redis, search):
        job = Job.create(work, origin="default", connection=redis, serializer=JSONSerializer)
        job.save()

        self.unchanged(bucket, search)

    @pytest.mark.parametrize("queue", ["elsewhere", "default-highest", "Default", "default:leases"])
    def test_a_job_of_a_queue_that_is_no_buckets(self, bucket, redis, search, queue):
        Job.create(work, origin=queue, status="queued", connection=redis).save()
        bucket.enqueue("runs")
        bucket.claim()

        self.unchanged(bucket, search)

    def test_a_job_that_expires(self, bucket, redis, search):
        bucket.enqueue("short")
        redis.delete("rq:queue:default")
        redis.expire("rq:job:short", 3600)

        self.unchanged(bucket, search)

    def test_a_job_that_a_plain_worker_runs(self, bucket, redis, search):
        bucket.enqueue("theirs")
        redis.delete("rq:queue:default")
        redis.hset("rq:job:theirs", "status", "started")
        redis.zadd("rq:executions:theirs", {"execution": 1.9e9})

        self.unchanged(bucket, search)

    def test_a_job_that_a_plain_worker_takes(self, bucket, redis, search):
        bucket.enqueue("theirs")
        redis.rename("rq:queue:default", "rq:queue:default:intermediate")

        self.unchanged(bucket, search)

    @pytest.mark.parametrize("list", ["rq:queue:default-high", "rq:queue:default-low"])
    def test_a_job_in_another_queue_of_its_bucket(self, bucket, redis, search, list):
        bucket.enqueue("moved")
        redis.rename("rq:queue:default", list)

        self.unchanged(bucket, search)

    @pytest.mark.parametrize("status", ["started", "scheduled"])
    def test_a_job_in_a_queue_whatever_its_status_says(self, bucket, redis, search, status):
        bucket.enqueue("waits")
        redis.hset("rq:job:waits", "status", status)

        self.unchanged(bucket, search)

    def test_a_job_whose_place_is_wrong(self, bucket, redis, search):
        bucket.capacity = 5000
        bucket.__post_init__()
        bucket.enqueue_all(f"job-{number}" for number in range(1000))
        redis.hset("rq:job:job-500", "spigot_place", 10)
        redis.hset("rq:job:job-999", "spigot_place", "far away")
        redis.hdel("rq:job:job-501", "spigot_place")

        self.unchanged(bucket, search)

    def test_a_job_that_moved_meanwhile(self, bucket, redis, search):
        bucket.enqueue("moved")
        redis.delete("rq:queue:default")
        assert search.look() == 10
        bucket.sleep(25)
        redis.hincrby("rq:job:moved", "spigot_revision", 1)
        search.finish_round()

        assert search.found.brought_back == []


def ours(redis: Redis) -> dict:
    """Return all that is kept, but for the search itself."""
    searches = {keys.sweep(), keys.missing(), keys.sought()}
    return {key: value for key, value in content(redis).items() if key.decode() not in searches}


class TestRound:
    def test_nothing_is_brought_back_before_a_lease_and_five_seconds(self, bucket, redis, search):
        bucket.enqueue("lost")
        redis.delete("rq:queue:default")
        search.look()
        bucket.sleep(LEASE + 4.9)
        search.look()
        assert search.found.brought_back == []

        bucket.sleep(0.2)
        search.look()
        assert search.ids == ["lost"]

    def test_begins_every_ten_minutes(self, bucket, redis, search):
        assert search.look() == ROUND
        bucket.enqueue("lost")
        redis.delete("rq:queue:default")
        bucket.sleep(ROUND - 1)
        assert search.look("worker-2") == 1
        assert search.look() == 1
        bucket.sleep(1)
        search.finish_round()

        assert search.ids == ["lost"]

    def test_is_one_workers_until_it_falls_silent(self, bucket, redis, search):
        bucket.enqueue("lost")
        redis.delete("rq:queue:default")
        search.look("worker-1")
        assert search.look("worker-2") == 10
        assert redis.hget(keys.sweep(), "worker") == b"worker-1"
        bucket.sleep(20)
        search.look("worker-2")

        assert redis.hget(keys.sweep(), "worker") == b"worker-2"
        assert search.ids == ["lost"]

    def test_begins_anew_when_the_clock_was_set_back(self, bucket, search):
        search.look()
        bucket.sleep(-3600)

        assert search.look() == ROUND

    def test_leaves_no_key_for_ever(self, bucket, redis, search):
        bucket.enqueue("lost")
        redis.delete("rq:queue:default")
        search.look()

        assert 0 < redis.ttl(keys.sweep()) <= 1800
        assert 0 < redis.ttl(keys.missing()) <= 1800


@pytest.mark.parametrize("key", [keys.sweep(), keys.missing()])
def test_a_key_of_another_type_is_said_and_stops_nobody(redis, key, monkeypatch, caplog):
    redis.set(key, "somebody else's")
    monkeypatch.setattr("spigot.worker.leases.lost_jobs.FIRST_SECONDS", 0.0)
    lost_jobs = LostJobs(redis, "worker-1", TERMS)

    assert lost_jobs.look() is None
    assert lost_jobs.look() is None
    assert len(caplog.records) == 1
