import pytest

from spigot.jobs.overview.reading import OverviewReader
from spigot.jobs.store import keys


@pytest.fixture
def refused(bucket):
    """Return a function that returns how many jobs the bucket refused in the last hour."""
    reader = OverviewReader(bucket.redis, keep_seconds=3600)
    return lambda: reader.read(["default"], now_us=bucket.now_us)[0].refused


def send(bucket, jobs):
    for _ in range(jobs):
        bucket.queue.enqueue("work", {}, now_us=bucket.now_us)


def test_what_a_bucket_refused_in_the_last_hour_is_counted(bucket, refused):
    bucket.set(capacity=2)
    send(bucket, 5)
    assert refused() == 3

    bucket.sleep(3000)
    bucket.set(draining=True)
    send(bucket, 4)
    assert refused() == 7

    bucket.sleep(900)
    assert refused() == 4

    send(bucket, 1)
    bucket.sleep(3600)
    assert refused() == 0


def test_the_periods_of_a_day_take_no_more_room_than_those_of_an_hour(bucket, refused):
    bucket.set(draining=True)
    for _ in range(30):
        bucket.sleep(300)
        send(bucket, 1)

    assert refused() == 12
    assert bucket.redis.hlen(f"{keys.bucket('default')}:refused") == 12


def test_what_others_wrote_there_counts_as_nothing(bucket, refused):
    key = f"{keys.bucket('default')}:refused"
    bucket.redis.hset(key, mapping={"0": "x", "77": "9e9:1", "1": "-1:-1"})
    assert refused() == 0

    bucket.redis.set(key, "text")
    bucket.set(draining=True)
    send(bucket, 1)
    assert refused() == 0


@pytest.fixture
def seen(bucket):
    """Return a function that returns the bucket as the pages see it."""
    reader = OverviewReader(bucket.redis, keep_seconds=3600)
    return lambda: reader.read(["default"], now_us=bucket.now_us)[0]


def test_a_job_that_runs_longer_than_past_ones_did_is_expected_of_its_place(bucket, seen):
    send(bucket, 2)
    first = bucket.claim()
    bucket.sleep(4)
    bucket.finish(first)
    assert (seen().mean_run, seen().expected_run, seen().longest_run) == (4, 4, 0)

    bucket.claim()
    bucket.sleep(3)
    assert (seen().mean_run, seen().expected_run, seen().longest_run) == (4, 4, 3)

    bucket.sleep(6)
    assert (seen().mean_run, seen().expected_run, seen().longest_run) == (4, 9, 9)


def test_what_others_wrote_in_place_of_a_lease_says_nothing_of_its_run(bucket, seen):
    send(bucket, 2)
    claim = bucket.claim()
    bucket.claim()
    bucket.sleep(5)
    bucket.redis.hset(keys.lease(claim.token), "slot_us", "odd")

    assert seen().longest_run == pytest.approx(5, abs=0.2)

    bucket.redis.delete(keys.leases("default"))
    bucket.redis.set(keys.leases("default"), "text")

    assert seen().longest_run == 0
