"""A request passes all of its rules, or spends from none of them."""

import pytest

from spigot.webapp.door.rate_limits.decision import Verdict
from tests.support.clocked_limiter import MS, SECOND, ClockedLimiter
from tests.support.redis_content import content

RULES = {
    "burst": {"capacity": 5, "refill_rate": 1},
    "hour": {"limit": 3, "window": 3600},
    "all": {"limit": 100, "window": 60},
}


def left(decision):
    return {each.check.rule.name: each.remaining for each in decision.states}


def test_an_admitted_request_spends_from_every_rule(redis):
    limiter = ClockedLimiter(redis, RULES)

    assert left(limiter.ask(0)) == {"burst": 4, "hour": 2, "all": 99}
    assert left(limiter.ask(0)) == {"burst": 3, "hour": 1, "all": 98}


def test_a_refused_request_spends_nothing(redis):
    limiter = ClockedLimiter(redis, RULES)
    for _ in range(3):
        limiter.ask(0)

    refused = [limiter.ask(0) for _ in range(20)]

    assert {decision.verdict for decision in refused} == {Verdict.REFUSED}
    assert [left(decision) for decision in refused] == [{"burst": 2, "hour": 0, "all": 97}] * 20


def test_a_refused_request_writes_nothing(redis):
    limiter = ClockedLimiter(redis, RULES, expire=True)
    for _ in range(3):
        limiter.ask(0)
    before = content(redis)
    redis.config_resetstat()

    limiter.ask(500 * MS)

    done = {name.removeprefix("cmdstat_") for name in redis.info("commandstats")}
    assert done - {"config|resetstat", "script|exists", "multi", "exec"} == {"evalsha", "mget"}
    assert content(redis) == before


def test_an_abuser_does_not_use_up_what_clients_share(redis):
    rules = {"each": {"limit": 2, "window": 60}, "shared": {"limit": 10, "window": 60}}
    limiter = ClockedLimiter(redis, rules)

    def passes(client):
        decision = limiter.ask(0, {"each": client, "shared": "global"})
        return decision.verdict is Verdict.ADMITTED

    assert sum(passes("abuser") for _ in range(20)) == 2
    assert all(passes(f"client {number}") for number in range(8))
    assert not passes("client 8")


@pytest.mark.parametrize("first", ["burst", "hour"])
def test_the_order_of_the_rules_does_not_matter(redis, first):
    second = {"burst": "hour", "hour": "burst"}[first]
    limiter = ClockedLimiter(
        redis, {"burst": {"capacity": 1, "refill_rate": 1}, "hour": RULES["hour"]}
    )
    limiter.ask(0)

    decision = limiter.ask(0, rules=[first, second])

    assert decision.verdict is Verdict.REFUSED
    assert left(decision) == {"burst": 0, "hour": 2}
    assert [check.rule.name for check in decision.violated] == ["burst"]


def test_the_wait_is_the_longest_of_those_that_refuse(redis):
    rules = {
        "second": {"limit": 1, "window": 1},
        "bucket": {"capacity": 1, "refill_rate": 0.1},
        "idle": {"limit": 9, "window": 3600},
    }
    limiter = ClockedLimiter(redis, rules)
    limiter.ask(0)

    assert limiter.ask(100 * MS).wait_us == 9_900 * MS
    assert limiter.ask(10 * SECOND - 1).wait_us == 1
    assert limiter.ask(10 * SECOND).verdict is Verdict.ADMITTED


def test_a_rule_that_is_untouched_tells_no_time(redis):
    limiter = ClockedLimiter(
        redis, {"one": {"limit": 1, "window": 60}, "two": {"capacity": 5, "refill_rate": 1}}
    )
    limiter.ask(0, rules=["one"])

    decision = limiter.ask(0)

    assert [each.more_in_us for each in decision.states] == [60 * SECOND, None]


def test_looking_spends_nothing(redis):
    limiter = ClockedLimiter(redis, RULES)

    assert left(limiter.ask(0, spend=False)) == {"burst": 5, "hour": 3, "all": 100}
    assert content(redis) == {}


def test_a_shadow_rule_is_counted_and_refuses_nothing(redis):
    shadow = {"limit": 2, "window": 60, "mode": "shadow"}
    limiter = ClockedLimiter(redis, {"real": {"limit": 4, "window": 60}, "trial": shadow})

    decisions = [limiter.ask(0) for _ in range(5)]

    assert [d.verdict is Verdict.ADMITTED for d in decisions] == [True] * 4 + [False]
    assert [left(d)["trial"] for d in decisions] == [1, 0, 0, 0, 0]
    assert [d.states[1].admits for d in decisions] == [True, True, False, False, False]
    assert [check.rule.name for check in decisions[4].violated] == ["real"]


def test_a_refused_request_does_not_spend_from_a_shadow_rule(redis):
    shadow = {"limit": 9, "window": 60, "mode": "shadow"}
    limiter = ClockedLimiter(redis, {"real": {"limit": 1, "window": 60}, "trial": shadow})

    assert [left(limiter.ask(0))["trial"] for _ in range(3)] == [8, 8, 8]
