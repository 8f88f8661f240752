"""Jobs that others depend on outlive the time in which nobody is there to release those."""

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.job.latest_ended import LatestEnded
from tests.support.clocked_bucket import work

DAY = 86400


@pytest.mark.parametrize(
    ("result_ttl", "kept"), [(None, DAY), (0, DAY), (500, DAY), (2 * DAY, 2 * DAY), (-1, -1)]
)
def test_a_parent_is_kept_for_a_day_at_least(bucket, redis, result_ttl, kept):
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    parent = queue.enqueue(work, result_ttl=result_ttl)
    queue.enqueue(work, depends_on=parent)
    bucket.finish(bucket.claim())

    assert redis.ttl(parent.key) == pytest.approx(kept, abs=5)


def test_a_job_without_dependents_is_kept_as_rq_was_told(bucket, redis):
    job = Queue("default", connection=redis, serializer=JSONSerializer).enqueue(work)
    bucket.finish(bucket.claim())

    assert redis.ttl(job.key) == pytest.approx(500, abs=5)


def test_the_line_of_a_cancelled_job_is_kept_under_its_whole_time(bucket):
    bucket.now_us += 123_456
    bucket.enqueue("waits")
    bucket.cancel("waits")

    assert list(bucket.log()) == [f"cancelled:waits:{bucket.now_us}"]


def test_a_registry_of_another_type_holds_no_job(redis):
    redis.set("rq:failed:default", "somebody else's")
    redis.zadd("rq:finished:default", {"job": 2e9})

    found, count = LatestEnded(redis, 60).entries(["rq:failed:default", "rq:finished:default"], 5)

    assert ([job_id for _, job_id in found], count) == (["job"], 1)
