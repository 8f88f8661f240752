"""Stories of one client and one window, as ``decide.lua`` tells them."""

from tests.support.clocked_limiter import MS, SECOND, ClockedLimiter

YES, NO = True, False
STATE = "spigot:1:door:window:r:192.0.2.1"


def assert_kept(redis, milliseconds, ask):
    """Hold that what a request leaves is kept for so long after it, whenever that was."""
    before, _, after = now_ms(redis), ask(), now_ms(redis)

    assert before <= redis.pexpiretime(STATE) - milliseconds <= after


def now_ms(redis):
    seconds, micros = redis.time()
    return seconds * 1000 + micros // 1000


def rule(limit, window):
    return {"r": {"limit": limit, "window": window}}


def test_a_window_begins_with_the_first_request_and_then_ends(redis):
    story = [
        # now, cost -> admitted, remaining, us until more
        (45 * SECOND, 1, YES, 2, 60 * SECOND),
        (50 * SECOND, 2, YES, 0, 55 * SECOND),
        (50 * SECOND, 1, NO, 0, 55 * SECOND),
        (104_999_999, 1, NO, 0, 1),  # a microsecond early
        (105 * SECOND, 1, YES, 2, 60 * SECOND),  # a new one
        (200 * SECOND, 3, YES, 0, 60 * SECOND),  # it begins with a request, not by the clock
    ]
    limiter = ClockedLimiter(redis, rule(3, 60))

    for now, cost, *expected in story:
        assert limiter.tell(now, cost) == tuple(expected), now


def test_what_does_not_fit_spends_nothing(redis):
    story = [
        (0, 3, YES, 0, SECOND),
        (10, 3, NO, 0, SECOND - 10),
        (10, 2, YES, 0, SECOND - 10),
        (10, 1, NO, 0, SECOND - 10),
    ]
    limiter = ClockedLimiter(redis, rule(5, 1))

    for now, cost, *expected in story:
        assert limiter.tell(now, cost) == tuple(expected), (now, cost)


def test_a_refused_request_opens_no_window(redis):
    limiter = ClockedLimiter(redis, {**rule(5, 1), "other": {"limit": 1, "window": 60}})
    limiter.ask(0, rules=["other"])

    limiter.ask(0)

    assert limiter.ask(SECOND // 2, rules=["r"]).states[0].more_in_us == SECOND


def test_a_clock_that_steps_back_neither_mints_nor_burns(redis):
    story = [
        (60 * SECOND, 3, YES, 0, 10 * SECOND),
        (20 * SECOND, 1, YES, 0, 50 * SECOND),  # what is left is still there
        (20 * SECOND, 1, NO, 0, 50 * SECOND),  # the wait is true on the clock as it is now
        (69_999_999, 1, NO, 0, 1),
        (70 * SECOND, 1, YES, 3, 10 * SECOND),
    ]
    limiter = ClockedLimiter(redis, rule(4, 10))

    for now, cost, *expected in story:
        assert limiter.tell(now, cost) == tuple(expected), now


def test_a_window_is_forgotten_when_it_ends(redis):
    limiter = ClockedLimiter(redis, rule(5, 0.5), expire=True)

    assert_kept(redis, 500, lambda: limiter.ask(0))
    assert_kept(redis, 400, lambda: limiter.ask(100 * MS))
    assert_kept(redis, 400, lambda: limiter.ask(100 * MS + 1))  # rounded up: none ends early


def test_a_window_of_the_future_is_kept_until_its_end(redis):
    limiter = ClockedLimiter(redis, rule(5, 10), expire=True)

    limiter.ask(60 * SECOND)

    assert_kept(redis, 70_000, lambda: limiter.ask(0))
