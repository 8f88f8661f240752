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
