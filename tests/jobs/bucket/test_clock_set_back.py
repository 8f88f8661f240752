"""The server's clock is set back, as by a failover to a slower one: nothing waits longer for it."""

import json
from datetime import UTC, datetime

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport, Hold
from tests.support.clocked_bucket import SECOND_US, ClockedBucket, work

RQ_TTL = 60

pytestmark = pytest.mark.parametrize("back", [2, 300, 86_400])
"""Seconds that the clock is set back, or on and then back."""


def renew(bucket: ClockedBucket, *tokens: str) -> None:
    bucket.leases.renew(tokens, RQ_TTL, now_us=bucket.now_us)


def reaped_within(seconds: float, bucket: ClockedBucket) -> int:
    """Let workers look as often as they do; longer silence would count as an outage."""
    reaped, end_us = 0, bucket.now_us + round(seconds * SECOND_US)
    while bucket.now_us < end_us:
        bucket.now_us = min(end_us, bucket.now_us + SECOND_US)
        reaped += bucket.reap().count
    return reaped


@pytest.fixture(params=["a claim", "a reap", "a renewal"])
def set_back(bucket: ClockedBucket, request):
    """Sets the clock back, and lets a worker look."""
    looks = {"a claim": bucket.ask, "a reap": bucket.reap, "a renewal": lambda: renew(bucket)}

    def set_back(seconds: float) -> None:
        bucket.reap()  # somebody looked just before
        bucket.sleep(-seconds)
        looks[request.param]()

    return set_back


def test_a_silent_workers_job_comes_back_after_its_lease(bucket, set_back, back):
    bucket.enqueue("a")
    bucket.claim()
    set_back(back)

    assert reaped_within(14.9, bucket) == 0
    assert reaped_within(0.2, bucket) == 1
    assert bucket.claim().job_id == "a"


def test_a_living_workers_job_stays_its_own(bucket, set_back, back):
    bucket.enqueue("a")
    claim = bucket.claim()
    set_back(back)
    for _ in range(20):
        bucket.sleep(4)
        renew(bucket, claim.token)
        assert bucket.reap().count == 0

    assert bucket.finish(claim)


def test_a_lease_that_begins_afterwards_has_its_whole_time(bucket, set_back, back):
    bucket.enqueue("a")
    set_back(back)
    if bucket.redis.zcard(keys.leases("default")) == 0:
        bucket.claim()
    bucket.reap()

    assert reaped_within(14.8, bucket) == 0


def test_a_hold_lasts_as_long_as_was_said(bucket, set_back, back):
    bucket.enqueue("a")
    bucket.hold(bucket.claim(), seconds=6)
    set_back(back)
    state = BucketReader(bucket.redis).read("default")
    begun_us = bucket.now_us

    assert bucket.claim().job_id == "a"
    assert bucket.now_us - begun_us == 6 * SECOND_US
    assert state.held_until is not None


def test_a_delayed_job_comes_after_its_delay(bucket, set_back, back):
    bucket.enqueue("a", "retried")
    bucket.enqueue("b", delay_us=60 * SECOND_US)
    bucket.retry(bucket.claim(), delay=20)
    set_back(back)
    assert bucket.read("a").estimated_start_in == pytest.approx(20)
    begun_us = bucket.now_us

    for name, delay in {"a": 20, "b": 60}.items():
        bucket.now_us = begun_us + delay * SECOND_US - 1000
        assert isinstance(bucket.ask(), Wait)
        bucket.sleep(0.002)
        assert bucket.claim().job_id == name
        bucket.reap()


def test_many_delayed_jobs_stay_in_their_order(bucket, set_back, back):
    ids = {f"job-{number:04}": 1000 * number for number in range(2500)}
    start_ms = bucket.now_us // 1000
    bucket.redis.zadd(keys.delayed("default"), {id: start_ms + delay for id, delay in ids.items()})
    set_back(back)
    for _ in range(5):  # a slice at each look
        bucket.ask()

    scores = dict(bucket.redis.zrange(keys.delayed("default"), 0, -1, withscores=True))
    first_ms = start_ms - back * 1000
    expected = {id.encode(): first_ms + delay for id, delay in ids.items()}
    expected.pop(b"job-0000", None)  # was due at once, and is no job
    scores.pop(b"job-0000", None)
    assert scores == expected


@pytest.mark.parametrize("how", ["a retry", "a hold", "a new job"])
def test_what_is_to_wait_from_now_on_waits_no_shorter(bucket, how, back):
    """The first script after the clock was set back is the one that writes a time."""
    bucket.enqueue("a", "retried")
    claim = bucket.claim()
    bucket.reap()
    bucket.sleep(-back)
    delay = back + 30
    if how == "a retry":
        bucket.retry(claim, delay=delay)
    elif how == "a hold":
        bucket.leases.give_back(
            AttemptReport(claim.token, "work", error="wait"),
            "rate_limited",
            hold=Hold(delay * SECOND_US, stated=True),
            now_us=bucket.now_us,
        )
    else:
        bucket.finish(claim)
        bucket.enqueue("b", delay_us=delay * SECOND_US)
    begun_us = bucket.now_us

    bucket.sleep(1)
    bucket.reap()
    bucket.ask()
    bucket.now_us = begun_us + delay * SECOND_US - 51_000  # a job is claimed ahead
    assert isinstance(bucket.ask(), Wait)
    bucket.now_us += 52_000
    assert isinstance(bucket.ask(), Claim)


def test_a_dead_workers_lines_are_taken_over_in_time(bucket, set_back, back):
    bucket.enqueue("a")
    bucket.finish(bucket.ask("dead"))
    bucket.redis.hset(keys.unlogged("default"), "token", 'dead\n{"id": "a"}')
    set_back(back)

    bucket.sleep(45.1)
    assert "token" in dict(bucket.reap().lines)


def test_a_worker_that_lives_is_seen_to(bucket, set_back, back):
    bucket.ask()
    set_back(back)
    bucket.ask()

    assert bucket.redis.zscore(keys.workers("default"), "worker-1") == pytest.approx(
        bucket.now_us / 1000 + 37_500, abs=2500
    )


def test_operators_see_that_it_was(bucket, set_back, back):
    bucket.enqueue("a")
    bucket.claim()
    set_back(back)

    (change,) = map(json.loads, bucket.redis.lrange(keys.changes("default"), 0, -1))
    assert change["by"] == "the server's clock"


def test_a_budget_drains_as_before(redis, back):
    budgets = {"tokens": {"limit": "600/m", "burst": 100, "counted": "at_start"}}
    bucket = ClockedBucket(redis, "100/s", budgets=budgets)
    for name in "ab":
        bucket.enqueue(name, cost=100)
    bucket.claim()
    bucket.reap()
    bucket.sleep(-back)
    begun_us = bucket.now_us

    assert bucket.claim().job_id == "b"
    assert bucket.now_us - begun_us == pytest.approx(10 * SECOND_US, abs=100_000)


def test_what_the_downstream_said_of_its_limits_is_forgotten_in_time(redis, back):
    budgets = {"tokens": {"limit": "600/m", "burst": 100, "counted": "at_start"}}
    bucket = ClockedBucket(redis, "100/s", budgets=budgets)
    for name in "ab":
        bucket.enqueue(name, cost=1)
    claim = bucket.claim()
    told = AttemptReport(claim.token, "work", noted="tokens:100000000:0:8000000")
    bucket.leases.complete(told, "finished", now_us=bucket.now_us)
    bucket.reap()
    assert isinstance(bucket.ask(), Wait)
    bucket.sleep(-back)
    begun_us = bucket.now_us

    assert bucket.claim().job_id == "b"
    assert bucket.now_us - begun_us <= 8 * SECOND_US


def test_a_clock_that_is_set_on_and_back_reaps_nobody_who_lives(bucket, back):
    bucket.enqueue("a")
    claim = bucket.claim()
    bucket.reap()
    for seconds in (back, -back):
        bucket.sleep(seconds)
        assert reaped_within(4, bucket) == 0
        renew(bucket, claim.token)

    assert bucket.finish(claim)


def test_a_clock_that_is_set_on_and_back_keeps_no_dead_workers_job(bucket, back):
    bucket.enqueue("a")
    bucket.claim()
    bucket.reap()
    for seconds in (back, -back):
        bucket.sleep(seconds)
        bucket.reap()

    assert reaped_within(15.1, bucket) == 1


def test_what_plain_rq_scheduled_keeps_its_date(bucket, redis, set_back, back):
    """It was told a time of day by a client, whose clock is another."""
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    due_us = bucket.now_us + 60 * SECOND_US
    queue.enqueue_at(datetime.fromtimestamp(due_us // SECOND_US, UTC), work, "later")
    set_back(back)

    bucket.now_us = due_us - 1
    assert isinstance(bucket.ask(), Wait)
    bucket.now_us += 1
    assert isinstance(bucket.ask(), Claim)
