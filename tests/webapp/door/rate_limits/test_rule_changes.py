"""A rule with other numbers gives nobody a free refill, and locks nobody out."""

import pytest

from spigot.webapp.door.rate_limits.decision import Verdict
from spigot.webapp.door.rate_limits.whole_units import MAX_UNITS
from tests.support.clocked_limiter import CLIENT, DAY, SECOND, ClockedLimiter

YES, NO = True, False


def bucket(capacity, refill_rate):
    return {"r": {"capacity": capacity, "refill_rate": refill_rate}}


def window(limit, seconds):
    return {"r": {"limit": limit, "window": seconds}}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        # 4 of 10 tokens are left; 1 is asked for
        (bucket(10, 1), bucket(100, 1), (YES, 3, SECOND)),  # no free refill
        (bucket(10, 1), bucket(2, 1), (YES, 1, SECOND)),  # not more than the new capacity
        (bucket(10, 1), bucket(10, "1/d"), (YES, 3, DAY)),
        (bucket(10, "1/d"), bucket(10, 100), (YES, 3, 10_000)),
        (bucket(10, 0.1), bucket(10, 3), (YES, 3, 333_334)),
        (bucket(10, "7/h"), bucket(10, "5/h"), (YES, 3, 720 * SECOND)),
        # 4 of 10 requests are left in the window
        (window(10, 60), window(100, 60), (YES, 93, 60 * SECOND)),
        (window(10, 60), window(7, 60), (YES, 0, 60 * SECOND)),
        (window(10, 60), window(3, 60), (NO, 0, 60 * SECOND)),
        (window(10, 60), window(10, 5), (YES, 3, 5 * SECOND)),
        (window(10, 60), window(10, 86_400), (YES, 3, DAY)),
    ],
)
def test_what_is_left_is_kept(redis, before, after, expected):
    limiter = ClockedLimiter(redis, before)
    limiter.ask(0, cost=6)

    limiter.change(after)

    assert limiter.tell(0) == expected


def test_a_slow_bucket_that_is_made_fast_locks_nobody_out(redis):
    limiter = ClockedLimiter(redis, bucket(1, "1/d"))
    limiter.ask(0)

    limiter.change(bucket(1, 10))

    assert limiter.tell(SECOND // 10 - 1) == (NO, 0, 1)
    assert limiter.tell(SECOND // 10) == (YES, 0, SECOND // 10)


def test_a_long_window_that_is_made_short_locks_nobody_out(redis):
    limiter = ClockedLimiter(redis, window(1, 86_400))
    limiter.ask(0)

    limiter.change(window(1, 2))

    assert limiter.tell(2 * SECOND - 1) == (NO, 0, 1)
    assert limiter.tell(2 * SECOND) == (YES, 0, 2 * SECOND)


def test_part_of_a_token_is_kept(redis):
    limiter = ClockedLimiter(redis, bucket(2, 1))
    limiter.ask(0, cost=2)
    limiter.ask(1_250_000)

    limiter.change(bucket(2, 2))

    assert limiter.tell(1_250_000) == (NO, 0, 375_000)  # three quarters, at two a second


def test_part_of_a_token_is_rounded_down(redis):
    limiter = ClockedLimiter(redis, bucket(2, 3))  # a token is 1,000,000 units
    limiter.ask(0, cost=2)
    limiter.ask(333_334)
    limiter.ask(666_667)  # one unit is left

    limiter.change(bucket(2, 2))  # a token is 500,000 units

    assert limiter.tell(666_667) == (NO, 0, 500_000)
    limiter.change(bucket(2, 0.1))  # a token is 10,000,000 units
    assert limiter.tell(666_667) == (NO, 0, 9_999_990)


def test_a_change_may_multiply_beyond_exact_numbers(redis):
    capacity = MAX_UNITS // DAY
    limiter = ClockedLimiter(redis, bucket(capacity, "7/d"))
    limiter.ask(0, cost=1)

    limiter.change(bucket(capacity, "1/d"))

    assert limiter.tell(0) == (YES, capacity - 2, DAY)


@pytest.mark.parametrize(
    ("before", "after"), [(bucket(1, 1), window(5, 60)), (window(1, 60), bucket(5, 1))]
)
def test_another_algorithm_begins_anew(redis, before, after):
    limiter = ClockedLimiter(redis, before)
    limiter.ask(0)

    limiter.change(after)

    assert limiter.tell(0)[:2] == (YES, 4)


def test_a_key_of_another_type_is_no_error(redis):
    limiter = ClockedLimiter(redis, bucket(2, 1))
    redis.rpush(f"spigot:1:door:bucket:r:{CLIENT}", "not ours")

    assert limiter.ask(0).verdict is Verdict.ADMITTED
    assert limiter.tell(0) == (YES, 0, SECOND)
