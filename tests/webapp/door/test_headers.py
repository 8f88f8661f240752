"""The syntax and the truth of what headers say."""

import pytest

from spigot.webapp.door.headers import rate_limit_headers, whole_seconds
from spigot.webapp.door.rate_limits.decision import Decision, Verdict
from tests.support.clocked_limiter import MS, SECOND, ClockedLimiter


def told(decision):
    return dict(rate_limit_headers(decision))


def test_a_policy_and_an_item_per_rule_in_the_order_of_the_file(redis):
    rules = {
        "burst": {"capacity": 10, "refill_rate": 3},
        "hour": {"limit": 100, "window": 3600},
        "trial": {"limit": 5, "window": 0.5, "mode": "shadow"},
    }

    assert told(ClockedLimiter(redis, rules).ask(0)) == {
        "RateLimit-Policy": '"burst";q=10;w=4, "hour";q=100;w=3600, "trial";q=5;w=1',
        "RateLimit": '"burst";r=9;t=1, "hour";r=99;t=3600, "trial";r=4;t=1',
        "X-RateLimit-Limit": "10",
        "X-RateLimit-Remaining": "9",
        "X-RateLimit-Reset": "1",
    }


def test_what_is_left_is_told_in_requests_of_this_cost(redis):
    limiter = ClockedLimiter(redis, {"r": {"limit": 10, "window": 60}})

    assert told(limiter.ask(0, cost=3))["RateLimit"] == '"r";r=2;t=60'


def test_all_there_is_has_no_time(redis):
    limiter = ClockedLimiter(
        redis, {"one": {"limit": 1, "window": 9}, "two": {"limit": 3, "window": 60}}
    )
    limiter.ask(0, rules=["one"])

    assert told(limiter.ask(0))["RateLimit"] == '"one";r=0;t=9, "two";r=3'


def test_the_tightest_rule_is_the_one_with_the_fewest_left(redis):
    rules = {"a": {"limit": 9, "window": 60}, "b": {"limit": 5, "window": 10}}

    headers = told(ClockedLimiter(redis, rules).ask(0))

    assert [headers[f"X-RateLimit-{name}"] for name in ("Limit", "Remaining", "Reset")] == [
        "5",
        "4",
        "10",
    ]


def test_of_two_as_tight_it_is_the_one_that_takes_longer(redis):
    rules = {"a": {"limit": 5, "window": 10}, "b": {"limit": 5, "window": 60}}

    assert told(ClockedLimiter(redis, rules).ask(0))["X-RateLimit-Reset"] == "60"


def test_on_a_refusal_it_is_the_violated_one_with_the_longest_wait(redis):
    rules = {
        "short": {"limit": 2, "window": 5},
        "long": {"limit": 1, "window": 30},
        "empty": {"limit": 3, "window": 600, "cost": 3},  # nothing left, and not violated by cost 1
    }
    limiter = ClockedLimiter(redis, rules)
    limiter.ask(0, rules=["empty"])
    limiter.ask(0, rules=["short"])
    limiter.ask(0, rules=["short", "long"])

    headers = told(limiter.ask(0, rules=["short", "long"]))

    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Reset"]) == ("1", "30")


def test_a_shadow_rule_is_not_the_tightest(redis):
    trial = {"limit": 1, "window": 60, "mode": "shadow"}
    both = ClockedLimiter(redis, {"r": {"limit": 9, "window": 60}, "trial": trial}).ask(0)
    alone = ClockedLimiter(redis, {"trial": trial}).ask(0)

    assert told(both)["X-RateLimit-Limit"] == "9"
    assert set(told(alone)) == {"RateLimit-Policy", "RateLimit"}


def test_without_rules_nothing_is_told():
    assert rate_limit_headers(Decision(Verdict.BANNED, wait_us=1)) == []


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("a b", '"a b"'),
        ('say "hi"', r'"say \"hi\""'),
        ("back\\slash", r'"back\\slash"'),
        ("ü", '"%C3%BC"'),
        ("a\r\nX: y", '"a%0D%0AX: y"'),
    ],
)
def test_a_name_is_a_string_of_structured_fields(redis, name, written):
    headers = told(ClockedLimiter(redis, {name: {"limit": 5, "window": 60}}).ask(0))

    assert headers["RateLimit"] == f"{written};r=4;t=60"
    assert headers["RateLimit-Policy"] == f"{written};q=5;w=60"


@pytest.mark.parametrize(("us", "seconds"), [(0, 0), (1, 1), (SECOND, 1), (SECOND + 1, 2)])
def test_seconds_are_rounded_up(us, seconds):
    assert whole_seconds(us) == seconds


def test_so_many_more_pass_as_are_told(redis):
    limiter = ClockedLimiter(redis, {"r": {"capacity": 7, "refill_rate": 0.5}})
    remaining = limiter.ask(0, cost=2).states[0].remaining

    passed = [limiter.ask(0, cost=2).verdict is Verdict.ADMITTED for _ in range(5)]

    assert passed == [True] * remaining + [False] * (5 - remaining)


@pytest.mark.parametrize("rule", [{"capacity": 3, "refill_rate": 0.7}, {"limit": 3, "window": 2.5}])
def test_who_waits_as_told_passes_and_a_millisecond_less_is_too_little(redis, rule):
    limiter = ClockedLimiter(redis, {"r": rule})
    now = 0
    for _ in range(10):
        decision = limiter.ask(now)
        if decision.verdict is Verdict.REFUSED:
            exact = decision.wait_us
            assert limiter.ask(now + exact - MS).verdict is Verdict.REFUSED
            assert limiter.ask(now + exact - 1).verdict is Verdict.REFUSED
            assert whole_seconds(exact) * SECOND >= exact
            now += exact
            assert limiter.ask(now).verdict is Verdict.ADMITTED
