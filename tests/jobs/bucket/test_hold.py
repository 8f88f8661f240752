"""The downstream said "too many": the whole bucket waits, the job goes first, nothing counts."""

import random

import pytest
from redis import Redis

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.configuring import UnknownBucketError
from spigot.jobs.bucket.control import BucketControl
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.job.state import utc_text
from spigot.jobs.store import keys
from tests.support.clocked_bucket import SECOND_US, ClockedBucket


def held_until_us(redis: Redis) -> int:
    return int(redis.hget(keys.bucket("default"), "held_until_us"))


def test_nothing_leaves_before_the_hold_is_over(bucket):
    for number in range(3):
        bucket.enqueue(f"job-{number}")
    bucket.hold(bucket.claim(), seconds=7)
    until_us = bucket.now_us + 7 * SECOND_US

    slots = [bucket.claim().slot_us for _ in range(3)]

    assert slots == [until_us, until_us + 100_000, until_us + 200_000]


def test_the_job_remembers_its_last_refused_starts(bucket):
    bucket.enqueue("held")
    expected = []
    for seconds in range(1, 11):
        claim = bucket.claim()
        bucket.sleep(0.25)
        bucket.hold(claim, seconds)
        expected.append([claim.slot_us, bucket.now_us, bucket.now_us + seconds * SECOND_US])

    remembered = bucket.redis.hget(keys.job("held"), "spigot_refused_starts").decode()

    lines = [[int(number) for number in line.split()] for line in remembered.splitlines()]
    assert lines == expected[-8:]


def test_the_job_goes_first_again(bucket):
    bucket.enqueue("held")
    claim = bucket.claim()
    bucket.enqueue("other")
    bucket.hold(claim, seconds=1)

    assert bucket.read("held").position == 1
    assert [bucket.claim().job_id for _ in range(2)] == ["held", "other"]


def test_no_retry_is_used_and_no_failure_counted(bucket, redis):
    bucket.enqueue("a", "retried")
    before = redis.hmget(keys.job("a"), "retries_left", "number_of_retries", "spigot_reaps")

    bucket.hold(bucket.claim(), seconds=1)

    assert redis.hmget(keys.job("a"), "retries_left", "number_of_retries", "spigot_reaps") == before
    assert redis.exists("rq:failed:default", keys.results("a")) == 0
    assert [line["status"] for line in bucket.log().values()] == ["rate_limited"]
    assert bucket.read("a").status == "queued"


def test_a_shorter_hold_does_not_end_a_longer_one(bucket, redis):
    claims = []
    for number in range(3):
        bucket.enqueue(f"job-{number}")
        claims.append(bucket.claim())
    begun_us = bucket.now_us

    bucket.hold(claims[0], seconds=2, error="RateLimited: two")
    bucket.hold(claims[1], seconds=30, error="RateLimited: thirty")
    bucket.hold(claims[2], seconds=1, error="RateLimited: one")

    assert held_until_us(redis) == begun_us + 30 * SECOND_US
    assert redis.hget(keys.bucket("default"), "hold_reason") == b"RateLimited: thirty"


@pytest.mark.parametrize("seed", range(20))
def test_several_held_jobs_return_in_the_order_of_their_slots(redis, seed):
    bucket = ClockedBucket(redis)
    for number in range(12):
        bucket.enqueue(f"job-{number:02}")
    claims = [bucket.claim() for _ in range(9)]
    random.Random(seed).shuffle(claims)

    for claim in claims:
        bucket.hold(claim, seconds=1)

    assert [bucket.claim().job_id for _ in range(12)] == [f"job-{n:02}" for n in range(12)]


def test_held_jobs_of_each_queue_keep_its_urgency(bucket):
    bucket.enqueue("low", priority="low")
    bucket.enqueue("default")
    claims = [bucket.claim(), bucket.claim()]
    for claim in claims:
        bucket.hold(claim, seconds=1)
    bucket.enqueue("high", priority="high")

    assert [bucket.claim().job_id for _ in range(3)] == ["high", "default", "low"]


def test_a_claim_just_before_the_hold_is_spared(bucket):
    for number in range(2):
        bucket.enqueue(f"job-{number}")
    first = bucket.claim()
    bucket.sleep(0.06)
    second = bucket.ask()
    assert isinstance(second, Claim)
    assert second.wait_us > 0  # claimed, not begun

    bucket.hold(first, seconds=5)

    assert bucket.read("job-1").status == "started"
    assert bucket.read("job-0").status == "queued"


@pytest.mark.parametrize(("rate", "interval"), [("20/s", 0.05), ("1/m", 60)])
@pytest.mark.parametrize("seconds", [0, 0.01])
def test_no_hold_is_shorter_than_an_interval(redis, rate, interval, seconds):
    bucket = ClockedBucket(redis, rate)
    bucket.enqueue("a")
    bucket.hold(bucket.claim(), seconds=seconds)

    assert held_until_us(redis) == bucket.now_us + round(interval * SECOND_US)
    assert bucket.claim().job_id == "a"


def test_the_estimate_knows_the_hold(bucket):
    bucket.enqueue("a")
    bucket.enqueue("b")
    bucket.hold(bucket.claim(), seconds=9)

    assert bucket.read("a").estimated_start_in == 9
    assert bucket.read("b").estimated_start_in == pytest.approx(9.1)


def test_a_worker_comes_back_for_the_end_of_the_hold(bucket):
    bucket.enqueue("a")
    bucket.hold(bucket.claim(), seconds=9)

    answer = bucket.ask()

    assert isinstance(answer, Wait)
    assert 9 - 0.05 <= answer.seconds <= 9 - 0.05 + 0.002  # the claim-ahead before it


def test_holding_twice_for_one_attempt_changes_nothing(bucket, redis):
    bucket.enqueue("a")
    claim = bucket.claim()
    bucket.hold(claim, seconds=5)
    until_us = held_until_us(redis)
    bucket.sleep(1)

    bucket.hold(claim, seconds=5)  # the first answer did not arrive

    assert held_until_us(redis) == until_us
    assert redis.llen(keys.queue("default")) == 1


def test_the_bucket_shows_the_hold_and_its_reason(bucket, redis):
    reader = BucketReader(redis)
    bucket.enqueue("a")
    bucket.hold(bucket.claim(), seconds=9, error="RateLimited: the downstream asked to wait 9 s")

    state = reader.read("default", bucket.now_us)
    assert state.held_until == utc_text(bucket.now_us + 9 * SECOND_US)
    assert state.hold_reason == "RateLimited: the downstream asked to wait 9 s"
    assert state.next_leak_at == state.held_until
    bucket.sleep(9)
    state = reader.read("default", bucket.now_us)
    assert (state.held_until, state.hold_reason) == (None, None)


def test_the_bucket_shows_that_a_quota_is_spent(bucket, redis):
    reader = BucketReader(redis)
    bucket.enqueue("a")
    bucket.hold(bucket.claim(), seconds=300, kind="quota", stated=False, error="spent")

    def shown() -> tuple:
        state = reader.read("default", bucket.now_us)
        return bool(state.held_until), state.hold_kind, state.hold_reason, state.probing

    assert shown() == (True, "quota", "spent", True)
    probe = bucket.claim()
    assert shown() == (False, "quota", "spent", True)
    bucket.finish(probe)
    assert shown() == (False, None, None, False)


def test_a_shorter_hold_of_another_kind_does_not_hide_why_the_bucket_waits(bucket, redis):
    for number in range(2):
        bucket.enqueue(f"job-{number}")
    first, second = bucket.claim(), bucket.claim()

    bucket.hold(first, seconds=3600, kind="quota", error="spent")
    bucket.hold(second, seconds=5, error="too many")

    state = BucketReader(redis).read("default", bucket.now_us)
    assert (state.hold_kind, state.hold_reason) == ("quota", "spent")


def test_an_operator_ends_a_hold(bucket, redis):
    bucket.enqueue("a")
    bucket.hold(bucket.claim(), seconds=3600)
    until = utc_text(bucket.now_us + 3600 * SECOND_US)
    bucket.sleep(1)

    control = BucketControl(redis, "ada")
    assert control.release("default", bucket.now_us) == until
    assert control.release("default", bucket.now_us) == ""
    assert bucket.ask().job_id == "a"
    with pytest.raises(UnknownBucketError):
        control.release("nowhere")
