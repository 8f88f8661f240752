"""What one process admits alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spigot.webapp.door.rate_limits import local_fallback
from spigot.webapp.door.rate_limits.decision import Verdict
from spigot.webapp.door.rate_limits.local_fallback import LocalFallback
from spigot.webapp.door.rate_limits.rule_cost import RuleCheck, RuleCost
from spigot.webapp.door.rate_limits.rules_text import build_rules
from tests.support.clocked_limiter import CLIENT
from tests.support.fake_clock import FakeClock
from tests.support.limiter_model import Bucket, Window
from tests.support.random_rules import BUCKETS, STEPS, WINDOWS, model_numbers


class Alone:
    """One process with its rules."""

    def __init__(self, rules, processes=1):
        self.clock = FakeClock()
        self._rules = build_rules(rules).by_name.values()
        self._fallback = LocalFallback(processes, self.clock.monotonic_us)

    def ask(self, client=CLIENT, cost=None):
        checks = [RuleCheck.of(RuleCost(rule, cost or rule.cost), client) for rule in self._rules]
        return self._fallback.decide(checks)

    def admitted(self, times, **options):
        return sum(self.ask(**options).verdict is Verdict.ADMITTED for _ in range(times))


@pytest.mark.parametrize(
    ("numbers", "processes", "share"),
    [
        ({"capacity": 10, "refill_rate": 1}, 1, 10),
        ({"capacity": 10, "refill_rate": 1}, 4, 2),
        ({"capacity": 3, "refill_rate": 1}, 4, 1),  # at least one
        ({"limit": 10, "window": 60}, 4, 2),
        ({"limit": 3, "window": 60}, 4, 1),
    ],
)
def test_a_process_admits_its_share(numbers, processes, share):
    assert Alone({"r": numbers}, processes).admitted(20) == share


def test_a_share_refills_at_its_share_of_the_rate():
    alone = Alone({"r": {"capacity": 8, "refill_rate": 4}}, processes=2)
    alone.admitted(8)

    alone.clock.wait(0.499999)
    assert alone.admitted(3) == 0
    alone.clock.wait(0.000001)
    assert alone.admitted(3) == 1


def test_a_window_of_its_own_ends():
    alone = Alone({"r": {"limit": 2, "window": 10}})
    alone.admitted(2)

    alone.clock.wait(9.999999)
    assert alone.admitted(3) == 0
    alone.clock.wait(0.000001)
    assert alone.admitted(3) == 2


def test_a_refused_request_spends_nothing():
    alone = Alone({"a": {"limit": 1, "window": 1}, "b": {"limit": 9, "window": 60}})
    decisions = [alone.ask() for _ in range(5)]

    assert [d.states[1].remaining for d in decisions] == [8] * 5


def test_a_request_that_costs_more_than_the_share_takes_all_of_it():
    alone = Alone({"r": {"limit": 8, "window": 60, "cost": 5}}, processes=4)

    assert alone.admitted(3) == 1


def test_clients_do_not_share():
    alone = Alone({"r": {"limit": 2, "window": 60}})

    assert [alone.admitted(5, client=str(number)) for number in range(3)] == [2, 2, 2]


def test_only_the_most_recent_clients_are_remembered(monkeypatch):
    monkeypatch.setattr(local_fallback, "MAX_CLIENTS", 3)
    alone = Alone({"r": {"limit": 2, "window": 60}})
    for client in "abcad":
        alone.ask(client)

    assert [alone.admitted(2, client=client) for client in "acd"] == [0, 1, 1]
    assert alone.admitted(2, client="b") == 2


def test_deny_lets_nobody_in():
    alone = Alone(
        {"a": {"limit": 9, "window": 60}, "b": {"limit": 9, "window": 60, "on_error": "deny"}}
    )

    decision = alone.ask()

    assert decision.verdict is Verdict.UNDECIDED
    assert [check.rule.name for check in decision.violated] == ["b"]
    assert decision.wait_us > 0


def test_allow_asks_nobody():
    alone = Alone({"a": {"limit": 1, "window": 60, "on_error": "allow"}})

    assert alone.admitted(5) == 5
    assert [check.rule.name for check in alone.ask().unasked] == ["a"]


def test_allow_does_not_overrule_another_rule():
    rules = {"a": {"limit": 1, "window": 60, "on_error": "allow"}, "b": {"limit": 2, "window": 60}}

    assert Alone(rules).admitted(5) == 2


def test_a_rule_in_shadow_mode_denies_nobody():
    shadow = {"limit": 1, "window": 60, "mode": "shadow"}

    assert Alone({"a": shadow, "b": {**shadow, "on_error": "deny"}}).admitted(5) == 5


def test_what_is_admitted_alone_is_told_to_be_so():
    alone = Alone({"a": {"limit": 1, "window": 60}})

    assert [alone.ask().failed_open for _ in range(2)] == [True, False]


@given(
    written=st.one_of(BUCKETS, WINDOWS),
    requests=st.lists(st.tuples(STEPS, st.integers(1, 4)), max_size=30),
)
def test_one_process_alone_decides_as_the_server_would(written, requests):
    alone = Alone({"r": written})
    model = (Window if "limit" in written else Bucket)(*model_numbers(written))
    now_us = 0
    for step, cost in requests:
        alone.clock.wait(step / 1_000_000)
        now_us += step
        cost = min(cost, model_numbers(written)[0])
        admits = model.look(now_us, cost).admits

        (state,) = alone.ask(cost=cost).states

        if admits:
            model.spend(now_us, cost)
        expected = model.look(now_us, cost)
        assert state.admits == admits
        assert (state.remaining, state.more_in_us) == (
            expected.remaining,
            expected.more_in_us,
        )
