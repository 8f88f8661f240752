"""A bucket with budgets, told as stories: who starts, who waits, what wakes a worker."""

import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.budgets.budget_change import BudgetChangeError
from spigot.jobs.budgets.declared_cost import CostExceedsBurst, InvalidCost
from spigot.jobs.store import keys
from spigot.jobs.store.times import utc_text
from tests.support.clocked_bucket import ClockedBucket

AT_START = {"tokens": {"limit": "600/m", "burst": 100, "counted": "at_start"}}
UNKNOWN = {"tokens": {"limit": "600/m", "burst": 100}}


@pytest.fixture
def make(redis):
    return lambda budgets: ClockedBucket(redis, "100/s", budgets=budgets)


def held(redis) -> int:
    return int(redis.hget(keys.budgets("default"), "tokens:held") or 0) // 1_000_000


def woken(redis) -> bool:
    return bool(redis.llen(keys.wake_up("default")))


def test_a_job_waits_until_its_cost_has_drained(make):
    bucket = make(AT_START)
    bucket.enqueue("a", cost=100)
    bucket.enqueue("b", cost=40)
    first = bucket.claim()

    second = bucket.claim()

    assert second.slot_us - first.slot_us == 4_000_000  # 40 of 10 a second


@pytest.mark.parametrize("tokens", range(1, 14))
def test_no_look_that_may_be_late_goes_past_the_moment_when_there_is_enough(make, tokens):
    bucket = make(AT_START)
    bucket.enqueue("a", cost=100)
    bucket.enqueue("b", cost=tokens)  # of 10 a second
    first = bucket.claim()
    ready_us = first.slot_us + tokens * 100_000

    answer = bucket.ask()

    assert isinstance(answer, Wait)
    look_us = bucket.now_us + answer.seconds * 1_000_000
    assert look_us <= ready_us if answer.exact else look_us + 200_000 < ready_us


def test_what_is_counted_at_an_unknown_moment_waits_for_an_end(redis, make):
    bucket = make(UNKNOWN)
    bucket.enqueue("a", cost=70)
    bucket.enqueue("b", cost=40)
    claim = bucket.claim()
    assert held(redis) == 70
    bucket.sleep(3600)
    assert isinstance(bucket.ask(), Wait)

    bucket.finish(claim, used="tokens=65000000")

    assert held(redis) == 0
    assert woken(redis)
    bucket.sleep(0.4)
    assert not isinstance(bucket.ask(), Claim)
    bucket.sleep(0.1)
    assert bucket.claim().job_id == "b"


def test_small_and_less_urgent_jobs_wait_behind_the_head(make):
    bucket = make(AT_START)
    bucket.enqueue("spends", cost=100)
    bucket.claim()
    bucket.enqueue("large", cost=100)
    bucket.enqueue("small", cost=1)
    bucket.enqueue("low", cost=0, priority="low")

    bucket.sleep(9)

    assert isinstance(bucket.ask(), Wait)
    assert [bucket.claim().job_id for _ in range(3)] == ["large", "small", "low"]


def test_a_more_urgent_job_goes_first_and_wakes_a_worker(redis, make):
    bucket = make(AT_START)
    bucket.enqueue("spends", cost=100)
    bucket.claim()
    bucket.enqueue("large", cost=100)
    bucket.sleep(1)
    bucket.ask()
    assert not woken(redis)

    bucket.enqueue("urgent", cost=5, priority="high")

    assert woken(redis)
    assert bucket.claim().job_id == "urgent"


def test_a_cancelled_head_lets_the_next_one_go_and_wakes_a_worker(redis, make):
    bucket = make(AT_START)
    bucket.enqueue("spends", cost=90)
    bucket.claim()
    bucket.enqueue("large", cost=100)
    bucket.enqueue("small", cost=1)
    bucket.sleep(0.1)
    bucket.ask()
    assert not woken(redis)

    bucket.cancel("large")

    assert woken(redis)
    assert bucket.claim().job_id == "small"


def test_a_raised_limit_wakes_a_worker_and_keeps_the_burst(redis, make):
    bucket = make(AT_START)
    bucket.enqueue("spends", cost=100)
    bucket.claim()
    bucket.enqueue("next", cost=100)
    bucket.sleep(1)
    bucket.ask()

    (change,) = bucket.set(budgets={"tokens": "5400/m"})

    assert (change.field, change.before, change.after) == (
        "budget tokens",
        "600/m burst 100",
        "5400/m burst 100",
    )
    assert woken(redis)
    begun_us = bucket.now_us
    assert bucket.claim().slot_us - begun_us == 1_000_000  # 90 were left, and 90 drain a second


def test_a_job_larger_than_a_lowered_burst_starts_alone(make):
    bucket = make(UNKNOWN)
    bucket.enqueue("first", cost=10)
    bucket.enqueue("large", cost=100)
    first = bucket.claim()
    bucket.set(budgets={"tokens": {"limit": "600/m", "burst": 20}})
    bucket.sleep(60)
    assert isinstance(bucket.ask(), Wait)  # 10 are held

    bucket.finish(first)

    assert isinstance(bucket.ask(), Wait)  # and now spent, for a second
    begun_us = bucket.now_us
    assert bucket.claim().slot_us - begun_us == 1_000_000


def test_a_claim_that_is_given_back_at_once_has_cost_nothing(redis, make):
    bucket = make({**AT_START, "output": {"limit": "600/m", "burst": 100}})
    bucket.enqueue("a", cost={"tokens": 100, "output": 100})

    for _ in range(3):
        bucket.give_back_unstarted(bucket.claim())

    state = redis.hgetall(keys.budgets("default"))
    assert state[b"tokens:level"] == state[b"output:level"] == state[b"output:held"] == b"0"


def test_a_late_give_back_returns_only_what_has_not_drained(make):
    """Job 1 of 100 at 0 s, job 2 of 50 at 5 s; the first is given back at 6 s."""
    bucket = make(AT_START)
    bucket.enqueue("1", cost=100)
    bucket.enqueue("2", cost=50)
    bucket.enqueue("3", cost=100)
    first = bucket.claim()
    begun_us = first.slot_us
    bucket.claim()
    bucket.now_us = begun_us + 6_000_000
    bucket.give_back_unstarted(first)
    bucket.cancel("1")

    third = bucket.claim()

    # 90 were spent at 6 s, of which 40 of the first had not drained
    assert third.slot_us - begun_us == 6_000_000 + 5_000_000


def test_more_than_reserved_is_spent_when_it_is_reported(make):
    bucket = make(AT_START)
    bucket.enqueue("a", cost=10)
    bucket.enqueue("b", cost=100)
    claim = bucket.claim()
    begun_us = claim.slot_us

    bucket.finish(claim, used="tokens=60000000")

    assert bucket.claim().slot_us - begun_us == 6_000_000


def test_the_jobs_of_a_silent_worker_have_used_what_they_reserved(redis, make):
    bucket = make(UNKNOWN)
    bucket.enqueue("a", cost=100)
    bucket.claim()

    assert bucket.reap_until_silent() == 1

    assert held(redis) == 0
    assert int(redis.hget(keys.budgets("default"), "tokens:level")) > 0


def test_the_lease_of_a_budget_that_left_the_file_is_settled(redis, make):
    bucket = make(UNKNOWN)
    bucket.enqueue("a", cost=60)
    claim = bucket.claim()
    make({})
    bucket.finish(claim)

    assert held(redis) == 0


def test_a_job_that_never_fits_is_refused_with_the_largest_cost(redis, make):
    bucket = make(AT_START)

    with pytest.raises(CostExceedsBurst, match="costs 101 tokens") as error:
        bucket.enqueue("a", cost=101)

    assert (error.value.budget, error.value.cost, error.value.largest) == ("tokens", 101, 100)
    assert not redis.exists(keys.job("a"))


def test_a_job_without_a_cost_is_refused(redis, make):
    bucket = make(AT_START)

    with pytest.raises(InvalidCost):
        bucket.enqueue("a")
    assert not redis.exists(keys.job("a"))


def test_a_change_names_a_budget_that_is_there(make):
    bucket = make({"day": {"limit": "90/d", "burst": 50, "window": "1d", "cost": 1}})

    with pytest.raises(BudgetChangeError, match="has no budget 'tokens'; known: day"):
        bucket.set(budgets={"tokens": "9/m"})
    with pytest.raises(BudgetChangeError, match="burst 50 must be less than the limit"):
        bucket.set(budgets={"day": "40/d"})


def test_a_bucket_with_budgets_is_of_a_schema_that_older_versions_refuse(redis, make):
    make(AT_START)
    assert redis.hget(keys.bucket("default"), "schema") == b"2"

    make({})
    assert redis.hget(keys.bucket("default"), "schema") == b"1"


def test_a_pause_holds_and_other_bounds_go_on(make):
    bucket = make(UNKNOWN)
    bucket.set(max_running=1)
    bucket.enqueue("a", cost=1)
    bucket.enqueue("b", cost=1)
    claim = bucket.claim()
    bucket.sleep(10)
    assert isinstance(bucket.ask(), Wait)

    bucket.hold(claim, 5)

    bucket.sleep(4)
    assert isinstance(bucket.ask(), Wait)
    assert bucket.claim().job_id == "a"


@pytest.mark.parametrize("budgets", [AT_START, UNKNOWN], ids=["at start", "unknown"])
def test_an_estimate_takes_budgets_into_account(make, budgets):
    bucket = make(budgets)
    for number in range(20):
        bucket.enqueue(f"job-{number:02}", cost=40)
    for _ in range(4):  # so that means are known
        claim = bucket.claim()
        bucket.sleep(1)
        bucket.finish(claim)
    last, begun_us = bucket.read("job-19"), bucket.now_us
    assert bucket.enqueue("more", cost=40).estimated_start_in > last.estimated_start_in

    while (claim := bucket.claim()).job_id != "job-19":
        bucket.sleep(1)
        bucket.finish(claim)

    took = (claim.slot_us - begun_us) / 1_000_000
    assert last.estimated_start_in == pytest.approx(took, rel=0.1)


def test_an_estimate_that_nobody_can_give_is_not_given(make):
    bucket = make(UNKNOWN)
    bucket.enqueue("fits", cost=60)

    assert bucket.enqueue("waits for an end", cost=60).estimated_start_at is None


def test_a_full_bucket_says_when_budgets_leave_a_place(make):
    bucket = make(AT_START)
    bucket.set(capacity=2)
    bucket.enqueue("spends", cost=100)
    bucket.claim()
    bucket.enqueue("a", cost=100)
    bucket.enqueue("b", cost=100)

    refused = bucket.queue.enqueue("work", {}, cost=100, now_us=bucket.now_us)

    assert refused.retry_after_ms == pytest.approx(10_000, rel=0.01)


def test_a_bucket_shows_what_its_next_job_waits_for(redis, make):
    bucket, reader = make(AT_START), BucketReader(redis)
    bucket.enqueue("spends", cost=100)
    bucket.claim()
    bucket.enqueue("waits", cost=50)
    bucket.sleep(1)

    state = reader.read("default", bucket.now_us)

    assert state.waits_for == "tokens"
    assert state.next_leak_at == utc_text(bucket.now_us + 4_000_000)
    assert (state.budgets["tokens"].level, state.budgets["tokens"].burst) == (90, 100)
    assert state.budgets["tokens"].limit == "600/m"


def test_what_nobody_holds_is_free_within_a_minute(redis, make):
    bucket = make(UNKNOWN)
    bucket.enqueue("a", cost=60)
    bucket.claim()
    redis.hset(keys.budgets("default"), "tokens:held", 100_000_000)

    bucket.sleep(1)
    bucket.reap()

    assert held(redis) == 60


def test_a_bucket_says_what_share_of_a_limit_its_jobs_can_use(redis, make):
    """Jobs of 20 s that reserve 50 and use 25, two at once; 200 are granted meanwhile."""
    bucket, reader = make(UNKNOWN), BucketReader(redis)
    for number in range(60):
        bucket.enqueue(f"job-{number}", cost=50)
    assert reader.read("default", bucket.now_us).budgets["tokens"].usable_share is None
    begun_us, used, running = bucket.now_us, 0, []
    while bucket.now_us - begun_us < 400_000_000:
        answer = bucket.ask()
        if isinstance(answer, Claim):
            running.append(answer)
        elif running and running[0].slot_us + 20_000_000 <= bucket.now_us + answer.seconds * 1e6:
            bucket.now_us = max(bucket.now_us, running[0].slot_us + 20_000_000)
            bucket.finish(running.pop(0), used="tokens=25000000")
            used += 25
        else:
            bucket.sleep(max(0.01, answer.seconds))

    budget = reader.read("default", bucket.now_us).budgets["tokens"]

    assert budget.usable_share == pytest.approx(used / 4000, rel=0.15)
    assert budget.burst_wanted == pytest.approx(0.97 * 50 * 225 / 25, rel=0.15)


def test_what_can_be_used_of_a_budget_that_is_counted_at_the_start_is_all_that_drains(redis, make):
    make({"day": {"limit": "600/m", "window": "10s", "burst": 20, "counted": "at_start"}})

    budget = BucketReader(redis).read("default").budgets["day"]

    assert (budget.usable_share, budget.burst_wanted) == (0.8, None)


def test_another_program_on_the_account_slows_the_bucket_until_the_stated_reset(redis, make):
    """The upstream grants 6 a second too; 5 of its 60 are left, and it is full in 8 s."""
    bucket = make({"tokens": {"limit": "360/m", "burst": 100, "counted": "at_start"}})
    for name in ("first", "second", "third"):
        bucket.enqueue(name, cost=10)
    bucket.finish(bucket.claim(), used="tokens=10000000|tokens:60000000:5000000:8000000")
    begun_us = bucket.now_us
    state = BucketReader(redis).read("default", begun_us)
    assert state.waits_for == "tokens"
    assert (state.budgets["tokens"].upstream.limit, state.budgets["tokens"].upstream.used) == (
        60,
        55,
    )

    second, third = bucket.claim(), bucket.claim()

    assert second.slot_us - begun_us == pytest.approx(5_000_000, abs=1_000)  # one a second refills
    assert third.slot_us - begun_us == pytest.approx(8_000_000, abs=1_000)  # then it is forgotten
    bucket.sleep(9)
    assert BucketReader(redis).read("default", bucket.now_us).budgets["tokens"].upstream is None


def test_what_a_downstream_says_only_tightens(make):
    bucket = make({"output": {"limit": "600/m", "burst": 50}})
    bucket.enqueue("first", cost=10)
    bucket.enqueue("second", cost=10)
    bucket.enqueue("third", cost=50)
    first, second = bucket.claim(), bucket.claim()
    bucket.finish(first, used="output=0|output_tokens:100000000:10000000:60000000")

    bucket.finish(second, used="output=0|output_tokens:100000000:90000000:60000000")

    begun_us = bucket.now_us
    assert bucket.claim().slot_us - begun_us > 20_000_000


def test_a_limit_below_the_largest_job_stops_nothing_beyond_its_reset(make):
    bucket = make(AT_START)
    bucket.enqueue("first", cost=1)
    bucket.enqueue("second", cost=90)
    bucket.finish(bucket.claim(), used="|tokens:50000000:50000000:30000000")
    begun_us = bucket.now_us

    assert bucket.claim().slot_us - begun_us == pytest.approx(30_000_000, abs=20_000)


def test_a_plain_job_takes_the_default_cost(redis, make):
    bucket = make({"tokens": {"limit": "600/m", "burst": 100, "default_cost": 30}})
    plain = Queue("default", connection=redis, serializer=JSONSerializer)
    plain.enqueue("f.g")

    bucket.claim()

    assert held(redis) == 30
