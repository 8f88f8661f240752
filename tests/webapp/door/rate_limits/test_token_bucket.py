"""Stories of one client and one bucket, as ``decide.lua`` tells them."""

from struct import unpack

import pytest

from spigot.webapp.door.rate_limits.decide import DecideScript
from spigot.webapp.door.rate_limits.rule_cost import RuleCheck, RuleCost
from spigot.webapp.door.rate_limits.rules_text import build_rules
from spigot.webapp.door.rate_limits.whole_units import MAX_UNITS
from tests.support.clocked_limiter import DAY, MS, SECOND, ClockedLimiter
from tests.support.key_lifetimes import lives_for_ms
from tests.support.processes import wait_for

YES, NO = True, False
STATE = "spigot:1:door:bucket:r:192.0.2.1"


def rule(capacity, refill_rate):
    return {"r": {"capacity": capacity, "refill_rate": refill_rate}}


def test_bursts_then_earns_one_token_after_the_other(redis):
    story = [
        # now, cost -> admitted, remaining, us until more
        (0, 1, YES, 2, 500 * MS),
        (0, 2, YES, 0, SECOND),
        (0, 1, NO, 0, 500 * MS),
        (499_999, 1, NO, 0, 1),  # a microsecond early
        (500_000, 1, YES, 0, 500 * MS),
        (1_250_000, 1, YES, 0, 250 * MS),  # the half token is kept
        (1_500_000, 1, YES, 0, 500 * MS),
        (99 * SECOND, 1, YES, 2, 500 * MS),  # never above capacity
    ]
    limiter = ClockedLimiter(redis, rule(3, 2))

    for now, cost, *expected in story:
        assert limiter.tell(now, cost) == tuple(expected), now


def test_a_request_of_several_tokens_waits_for_all_of_them(redis):
    story = [
        (0, 4, YES, 1, 200 * MS),  # 6 are left, 8 are two requests
        (0, 4, YES, 0, 200 * MS),
        (0, 4, NO, 0, 200 * MS),
        (199_999, 4, NO, 0, 1),
        (200_000, 4, YES, 0, 400 * MS),
    ]
    limiter = ClockedLimiter(redis, rule(10, 10))

    for now, cost, *expected in story:
        assert limiter.tell(now, cost) == tuple(expected), now


def test_a_rate_that_divides_no_second_gives_away_nothing(redis):
    story = [
        (0, 2, YES, 0, 666_667),
        (333_333, 1, NO, 0, 1),
        (333_334, 1, YES, 0, 333_333),  # what is earned beyond the token is kept
        (666_666, 1, NO, 0, 1),
        (666_667, 1, YES, 0, 333_333),
        (1_000_000, 1, YES, 0, 333_334),  # three in the second, and no debt
    ]
    limiter = ClockedLimiter(redis, rule(2, 3))

    for now, cost, *expected in story:
        assert limiter.tell(now, cost) == tuple(expected), now


def test_a_clock_that_steps_back_neither_mints_nor_burns(redis):
    story = [
        (60 * SECOND, 3, YES, 0, 2 * SECOND),
        (10 * SECOND, 1, YES, 0, 51 * SECOND),  # what is left is still there, nothing is earned
        (10 * SECOND, 1, NO, 0, 51 * SECOND),  # the wait is true on the clock as it is now
        (60 * SECOND, 1, NO, 0, SECOND),  # the way back earns nothing either
        (61 * SECOND, 1, YES, 0, SECOND),
    ]
    limiter = ClockedLimiter(redis, rule(4, 1))

    for now, cost, *expected in story:
        assert limiter.tell(now, cost) == tuple(expected), now


@pytest.mark.parametrize(
    ("refill_rate", "wait_us"),
    [("1/d", DAY), (0.1, 10 * SECOND), ("1/m", 60 * SECOND), (100_000, 10), (1_000_000, 1)],
)
def test_a_token_comes_exactly_on_time(redis, refill_rate, wait_us):
    limiter = ClockedLimiter(redis, rule(2, refill_rate))
    limiter.ask(0, cost=2)

    assert limiter.tell(0) == (NO, 0, wait_us)
    assert limiter.tell(wait_us - 1) == (NO, 0, 1)
    assert limiter.tell(wait_us) == (YES, 0, wait_us)


def test_numbers_up_to_the_last_exact_one_lose_nothing(redis):
    capacity = MAX_UNITS // DAY
    limiter = ClockedLimiter(redis, rule(capacity, "1/d"))

    assert limiter.tell(0) == (YES, capacity - 1, DAY)
    assert limiter.tell(1, cost=capacity - 1) == (YES, 0, (capacity - 1) * DAY - 1)
    assert limiter.tell(DAY) == (YES, 0, DAY)


@pytest.mark.parametrize("refill_rate", [10, 30])
def test_a_bucket_is_forgotten_when_it_is_full(redis, refill_rate):
    limiter = ClockedLimiter(redis, rule(3600, refill_rate), expire=True)
    minute = 60 * refill_rate  # tokens

    assert lives_for_ms(redis, STATE, 60_000, since=lambda: limiter.ask(0, cost=minute))
    assert lives_for_ms(redis, STATE, 90_000, since=lambda: limiter.ask(30 * SECOND, cost=minute))


def test_a_bucket_is_not_forgotten_early(redis):
    limiter = ClockedLimiter(redis, rule(1, 1_000_000), expire=True)

    def left_after_one() -> int:
        limiter.ask(0)
        return redis.pttl(STATE)

    # a microsecond is rounded up to what Redis can express, which may be over before one looks
    wait_for(lambda: left_after_one() in (0, 1))


def test_a_bucket_of_the_future_is_kept_until_its_time(redis):
    limiter = ClockedLimiter(redis, rule(10, 10), expire=True)

    limiter.ask(60 * SECOND, cost=5)

    assert lives_for_ms(redis, STATE, 60_600, since=lambda: limiter.ask(0))


def test_the_clock_is_that_of_the_server(redis):
    checks = [RuleCheck.of(RuleCost(build_rules(rule(10, 1)).by_name["r"], 1), "192.0.2.1")]
    script = DecideScript(redis)

    before = redis.time()
    script.run(script.pack(checks), checks)
    after = redis.time()

    _, stamp_us, _ = unpack(">ddd", redis.get(STATE))
    assert us(before) <= stamp_us <= us(after)


def us(server_time):
    seconds, microseconds = server_time
    return seconds * SECOND + microseconds
