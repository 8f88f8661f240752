"""The server's clock is set back while very many jobs wait for a time: they go back in slices."""

from itertools import pairwise
from random import Random

import pytest

from spigot.jobs.store import keys
from tests.support.clocked_bucket import SECOND_US, ClockedBucket

SLICE = 500
MANY = 3 * SLICE + 200
DELAYED = keys.delayed("default")
FAR_MS = 3_600_000
"""Nothing becomes due within a test."""


@pytest.fixture
def bucket(redis) -> ClockedBucket:
    return ClockedBucket(redis, capacity=10 * MANY)


def scores(bucket: ClockedBucket) -> dict[bytes, float]:
    return dict(bucket.redis.zrange(DELAYED, 0, -1, withscores=True))


def delay_many(bucket: ClockedBucket, spread_ms: int) -> dict[bytes, float]:
    """Let jobs wait; return when each is due."""
    first_ms = bucket.now_us // 1000 + FAR_MS
    due = {b"many-%04d" % number: float(first_ms + number * spread_ms) for number in range(MANY)}
    bucket.redis.zadd(DELAYED, due)
    return due


def set_back(bucket: ClockedBucket, seconds: int, due: dict[bytes, float]) -> dict[bytes, float]:
    """Let a script notice it that moves nothing; return when each job is due now."""
    bucket.reap()
    bucket.sleep(-seconds)
    bucket.reap()
    return {job_id: due_ms - seconds * 1000 for job_id, due_ms in due.items()}


def look_until_all_went_back(bucket: ClockedBucket) -> None:
    for _ in range(20):
        bucket.ask()
        if not bucket.redis.hexists(keys.bucket("default"), "delayed_back_ms"):
            return
    raise AssertionError("there is no end to it")


@pytest.mark.parametrize("spread_ms", [0, 1, 7])
def test_no_look_moves_more_than_a_slice(bucket, spread_ms):
    due = set_back(bucket, 2, delay_many(bucket, spread_ms))
    seen = [scores(bucket)]
    for is_more in (True, True, True, False):
        assert (bucket.ask().seconds == 0.01) == is_more
        bucket.sleep(0.01)
        seen.append(scores(bucket))

    moved = [sum(was[job_id] != now[job_id] for job_id in due) for was, now in pairwise(seen)]
    assert moved == [SLICE, SLICE, SLICE, MANY - 3 * SLICE]
    assert seen[-1] == due


def test_the_first_due_go_first(bucket):
    due = set_back(bucket, 300, delay_many(bucket, 5))
    bucket.ask()

    now = scores(bucket)
    went_back = [job_id for job_id in due if now[job_id] == due[job_id]]
    assert went_back == sorted(due, key=due.__getitem__)[:SLICE]


def test_other_jobs_start_meanwhile(bucket):
    delay_many(bucket, 1)
    bucket.enqueue("a")
    set_back(bucket, 300, {})

    assert bucket.ask().job_id == "a"
    assert bucket.redis.hexists(keys.bucket("default"), "delayed_back_ms")


def test_a_job_that_is_due_starts_though_others_have_still_to_go_back(bucket):
    delay_many(bucket, 1)
    bucket.enqueue("a", delay_us=5 * SECOND_US)
    set_back(bucket, 300, {})
    bucket.sleep(5.1)

    assert bucket.ask().job_id == "a"
    assert bucket.redis.hexists(keys.bucket("default"), "delayed_back_ms")


@pytest.mark.parametrize(
    "seed", [0, 1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))]
)
def test_whatever_comes_meanwhile_is_due_when_it_was_to_be(bucket, seed):
    """Jobs that are delayed or cancelled between two slices, and a clock that is set back again."""
    random = Random(seed)
    due = set_back(bucket, random.choice([2, 300]), delay_many(bucket, random.choice([0, 1, 700])))
    new: dict[str, float] = {}
    for number in range(30):
        deed = random.choice(["delay", "delay", "delay", "cancel", "look", "set back"])
        if deed == "delay":
            delay_ms = FAR_MS + random.randrange(MANY * 700)
            bucket.enqueue(f"new-{number}", delay_us=delay_ms * 1000)
            new[f"new-{number}"] = bucket.now_us / 1000 + delay_ms
        elif deed == "cancel" and new:
            job_id = random.choice(sorted(new))
            bucket.cancel(job_id)
            del new[job_id]
        elif deed == "look":
            bucket.ask()
        elif deed == "set back" and random.random() < 0.3:
            due = set_back(bucket, 60, due)
            new = {job_id: due_ms - 60_000 for job_id, due_ms in new.items()}
        for job_id, due_ms in new.items():
            told_in = bucket.read(job_id).estimated_start_in
            assert told_in == pytest.approx(due_ms / 1000 - bucket.now_us / SECOND_US, abs=0.002)
        now = scores(bucket)
        assert all(now[job_id] >= due_ms for job_id, due_ms in due.items())

    look_until_all_went_back(bucket)
    assert scores(bucket) == due | {job_id.encode(): due_ms for job_id, due_ms in new.items()}
