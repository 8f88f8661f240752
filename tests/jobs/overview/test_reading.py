import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spigot.jobs.job.state import JobReader
from spigot.jobs.overview.outlook import seconds_until_start
from spigot.jobs.overview.reading import OverviewReader
from spigot.jobs.overview.run_times import RunTimes
from spigot.jobs.store import keys
from tests.support.clocked_bucket import ClockedBucket
from tests.support.running_attempts import run_for


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
    assert seen().runs == RunTimes(4, 4)

    bucket.claim()
    bucket.sleep(3)
    assert seen().runs == RunTimes(4, 4, 3)

    bucket.sleep(19)
    assert seen().runs == RunTimes(4, 6, 22, (22,))  # (8 ends of 4 s and one of 22) / 9


@given(
    mean=st.sampled_from([0, 1, 4, 30]),
    workers=st.integers(1, 40),
    taken=st.lists(st.sampled_from([0, 1, 3, 8, 60, 600]), max_size=40),
    jobs=st.integers(1, 5),
)
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_and_jobs_are_told_the_same(bucket, mean, workers, taken, jobs):
    bucket.redis.flushdb()
    fresh = ClockedBucket(bucket.redis, rate="1000/s")
    send(fresh, jobs)
    fresh.redis.hset(keys.bucket("default"), "mean_run_us", mean * 1_000_000)
    run_for(fresh.redis, workers, taken, fresh.now_us)

    view = OverviewReader(fresh.redis, keep_seconds=3600).read(["default"], now_us=fresh.now_us)[0]

    last = fresh.redis.lindex(keys.queue("default"), -1).decode()
    told = JobReader(fresh.redis).read(last, now_us=fresh.now_us).estimated_start_in
    assert seconds_until_start(view, jobs) == pytest.approx(told, abs=2e-5)


def test_what_others_wrote_in_place_of_a_lease_says_nothing_of_its_run(bucket, seen):
    send(bucket, 2)
    claim = bucket.claim()
    bucket.claim()
    bucket.sleep(5)
    bucket.redis.hset(keys.lease(claim.token), "slot_us", "odd")

    assert seen().runs.longest == pytest.approx(5, abs=0.2)

    bucket.redis.delete(keys.leases("default"))
    bucket.redis.set(keys.leases("default"), "text")

    assert seen().runs.longest == 0
