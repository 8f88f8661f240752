import time
from datetime import UTC, datetime

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.job.latest_ended import LatestEnded
from spigot.jobs.job.listing import PLACES, JobLister
from spigot.jobs.job.state import STATUS
from tests.support.clocked_bucket import START_US, work


@pytest.fixture
def lister(redis) -> JobLister:
    return JobLister(redis)


@pytest.fixture
def one_of_each(bucket, redis):
    """A job in every place."""
    for name in ("finished", "failed", "delayed", "started"):
        bucket.enqueue(name, "retried")
        claim = bucket.claim()
        if name == "finished":
            bucket.finish(claim)
        elif name == "failed":
            bucket.fail(claim)
        elif name == "delayed":
            bucket.retry(claim, delay=60)
    bucket.enqueue("cancelled")
    bucket.cancel("cancelled")
    bucket.enqueue("queued")
    return bucket


def ids(page) -> list[str]:
    return [job.id for job in page.jobs]


def test_knows_where_the_jobs_of_every_status_are():
    assert set(PLACES) == set(STATUS.values())


@pytest.mark.parametrize("status", PLACES)
def test_lists_the_jobs_of_a_status(one_of_each, lister, status):
    page = lister.page([status], ["default"])

    assert [(job.id, job.status) for job in page.jobs] == [(status, status)]
    assert page.total == 1


def test_lists_all(one_of_each, lister):
    page = lister.page(PLACES, lister.bucket_names())

    assert ids(page) == ["started", "queued", "delayed", "failed", "cancelled", "finished"]
    assert page.total == 6


def test_waiting_jobs_are_in_the_order_in_which_they_leave(bucket, lister):
    for name in ("low", "default", "high"):
        bucket.enqueue(name, priority=name)
        bucket.enqueue(f"{name}-2", priority=name)

    names = ids(lister.page(["queued"], ["default"]))

    assert names == ["high", "high-2", "default", "default-2", "low", "low-2"]
    assert [bucket.claim().job_id for _ in range(6)] == names


def test_ended_jobs_begin_with_the_latest_whatever_their_queue(bucket, lister):
    for number, priority in enumerate(["low", "high", "default", "low"]):
        bucket.enqueue(f"job-{number}", priority=priority)
        bucket.fail(bucket.claim())
        bucket.sleep(5)

    assert ids(lister.page(["failed"], ["default"])) == ["job-3", "job-2", "job-1", "job-0"]


def test_delayed_jobs_begin_with_the_next_ours_and_rqs(bucket, lister, redis):
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    seconds = START_US // 1_000_000
    later = queue.enqueue_at(datetime.fromtimestamp(seconds + 90, UTC), work)
    soon = queue.enqueue_at(datetime.fromtimestamp(seconds + 30, UTC), work)
    deferred = queue.enqueue(work, depends_on=later)
    bucket.enqueue("ours", "retried")
    bucket.retry(bucket.claim(), delay=60)

    assert ids(lister.page(["delayed"], ["default"])) == [soon.id, "ours", later.id, deferred.id]


@pytest.mark.parametrize(("skip", "limit"), [(0, 3), (3, 3), (2, 7), (9, 5), (0, 100), (11, 1)])
def test_pages_are_parts_of_the_whole(bucket, lister, skip, limit):
    for number in range(12):
        bucket.enqueue(f"job-{number:02}", priority=["low", "high", "default"][number % 3])
    for _ in range(5):
        bucket.finish(bucket.claim())
    whole = ids(lister.page(PLACES, ["default"]))

    page = lister.page(PLACES, ["default"], skip=skip, limit=limit)

    assert len(whole) == page.total == 12
    assert ids(page) == whole[skip : skip + limit]


def test_a_job_that_expired_meanwhile_is_left_out(one_of_each, lister, redis):
    redis.delete("rq:job:failed")

    assert ids(lister.page(["failed"], ["default"])) == []


def test_a_bucket_without_jobs_has_an_empty_page(bucket, lister):
    assert lister.page(PLACES, ["default"]).jobs == []


RQ_KEEPS = 500


def end(redis, number, *, ago, kept, registry="finished"):
    """Have a job that ended a while ago and is kept for a time."""
    now = time.time()
    ended_at = datetime.fromtimestamp(now - ago, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    job_id = f"job-{number}"
    redis.hset(f"rq:job:{job_id}", mapping={"status": registry, "origin": "default",
                                            "ended_at": ended_at})  # fmt: skip
    redis.zadd(f"rq:{registry}:default", {job_id: int(now - ago + kept)})
    return job_id


@pytest.mark.parametrize("registry", ["finished", "failed"])
def test_jobs_that_are_kept_for_other_times_stand_where_they_ended(redis, registry):
    kept = [86400, RQ_KEEPS, 3600, 86400, 365 * 86400, RQ_KEEPS, 60, 86400]
    wanted = [
        end(redis, number, ago=10 * number, kept=seconds, registry=registry)
        for number, seconds in enumerate(kept)
        if seconds > 10 * number
    ]

    for limit in (1, 3, 50):
        entries, total = LatestEnded(redis, 86400).entries([f"rq:{registry}:default"], limit)
        assert [job_id for _, job_id in entries] == wanted[:limit]
        assert total == len(wanted)


@pytest.mark.slow
def test_of_a_hundred_thousand_the_latest_are_found_in_two_round_trips(redis):
    now = time.time()
    with redis.pipeline(transaction=False) as pipeline:
        for begin in range(0, 100_000, 10_000):
            scores = {f"old-{n}": now - n * 0.8 + 86400 for n in range(begin + 60, begin + 10_060)}
            pipeline.zadd("rq:finished:default", scores)
        pipeline.execute()
    wanted = [
        end(redis, "plain", ago=1, kept=RQ_KEEPS),
        end(redis, "ours", ago=2, kept=86400),
        end(redis, "since-the-change", ago=3, kept=7200),
        end(redis, "plain-2", ago=4, kept=RQ_KEEPS),
    ]

    entries, total = LatestEnded(redis, 7200).entries(["rq:finished:default"], 4)

    assert [job_id for _, job_id in entries] == wanted
    assert total == 100_004
