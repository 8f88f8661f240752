"""A bucket that a newer version wrote is read and left alone."""

import pytest

from spigot.jobs.bucket.claim_answers import Claim, UnpublishedBucketError
from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.job.requeueing import JobRequeuer
from spigot.jobs.store import keys

HASH = keys.bucket("default")
LINE = r"bucket 'default' was written by a newer version of Spigot \(schema 2\): upgrade this one"


@pytest.fixture
def make_newer(redis):
    """Write what a newer version would."""
    return lambda: redis.hset(HASH, "schema", 2)


def test_a_bucket_says_its_schema(redis, bucket):
    assert redis.hget(HASH, "schema") == b"1"


def test_a_bucket_without_a_schema_has_the_present_one(redis, bucket):
    redis.hdel(HASH, "schema")

    bucket.enqueue("a")
    assert isinstance(bucket.claim(), Claim)
    bucket.set(capacity=7)
    assert redis.hget(HASH, "schema") == b"1"


def test_no_job_joins_a_newer_bucket(redis, bucket, make_newer):
    make_newer()

    with pytest.raises(NewerBucketError, match=LINE):
        bucket.enqueue("a")
    assert not redis.exists(keys.job("a"), keys.queue("default"))


def test_a_job_that_is_there_already_is_still_found(bucket, make_newer):
    bucket.enqueue("a")
    make_newer()

    assert bucket.enqueue("a").status == "queued"
    assert bucket.read("a").position == 1


def test_no_job_leaves_a_newer_bucket(bucket, make_newer):
    bucket.enqueue("a")
    make_newer()

    with pytest.raises(UnpublishedBucketError):
        bucket.ask()
    assert bucket.status("a") == "queued"


def test_a_job_that_runs_ends_in_a_newer_bucket(bucket, make_newer):
    bucket.enqueue("a")
    claim = bucket.claim()
    make_newer()

    bucket.finish(claim)
    assert bucket.status("a") == "finished"


def test_no_failed_job_joins_a_newer_bucket_again(redis, bucket, make_newer):
    bucket.enqueue("a")
    bucket.fail(bucket.claim())
    make_newer()

    with pytest.raises(NewerBucketError, match=LINE):
        JobRequeuer(redis).requeue("a")
    with pytest.raises(NewerBucketError, match=LINE):
        JobRequeuer(redis).requeue_all_failed(["default"])
    assert bucket.status("a") == "failed"


def test_nobody_sets_a_number_of_a_newer_bucket(redis, bucket, make_newer):
    make_newer()
    before = redis.hgetall(HASH)

    with pytest.raises(NewerBucketError, match=LINE):
        bucket.set(capacity=7)
    with pytest.raises(NewerBucketError, match=LINE):
        BucketControl(redis, "ada").set("default", BucketChange(paused=True))
    assert redis.hgetall(HASH) == before


def test_the_other_buckets_of_the_file_are_published(redis, bucket, make_newer):
    make_newer()
    configs = {"default": BucketConfig(capacity=5), "other": BucketConfig(capacity=6)}

    with pytest.raises(NewerBucketError, match=LINE):
        BucketPublisher(redis).publish(configs)
    assert redis.hget(keys.bucket("other"), "capacity") == b"6"
    assert redis.hget(HASH, "capacity") == b"100"


def test_a_bucket_beside_a_newer_one_is_published_when_a_job_needs_it(redis, catalog, make_newer):
    configs = {"default": BucketConfig(), "narrow": BucketConfig()}
    BucketPublisher(redis).publish({"default": BucketConfig()})
    make_newer()

    queue = JobQueue(redis, catalog, configs, keep_seconds=60)

    assert queue.enqueue("shout", {"text": "a"}).status == "queued"


def test_a_newer_bucket_can_be_read(redis, bucket, make_newer):
    bucket.enqueue("a")
    make_newer()

    state = BucketReader(redis).read("default")
    assert (state.rate, state.waiting) == ("10/s", 1)
