from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spigot.webapp.door.rate_limits import keys
from spigot.webapp.door.rate_limits.fixed_window import FixedWindow
from spigot.webapp.door.rate_limits.rule import Rule
from spigot.webapp.door.rate_limits.rule_cost import RuleCheck, RuleCost
from spigot.webapp.door.rate_limits.rules_text import build_rules
from spigot.webapp.door.rate_limits.token_bucket import TokenBucket

LIMITS = {"bucket": TokenBucket.of(1, Fraction(1)), "window": FixedWindow.of(1, Fraction(1))}
PARTS = st.tuples(st.sampled_from([*LIMITS]), st.text(min_size=1), st.text(min_size=1))


def state_key(algorithm, name, client):
    return RuleCheck.of(RuleCost(Rule(name, LIMITS[algorithm]), 1), client).state_key


@given(PARTS, PARTS)
def test_no_two_rules_or_clients_share_a_key(one, other):
    assert (state_key(*one) == state_key(*other)) == (one == other)


@given(PARTS, st.text(min_size=1))
def test_no_state_has_the_key_of_a_ban(state, client):
    assert state_key(*state) != keys.ban(client)
    assert state_key(*state) != keys.bans()


@pytest.mark.parametrize("name", ["a:b", "a b", "ü", "%3A", "a\nb", '"', "*"])
def test_a_rule_may_have_any_name(name):
    numbers = {"limit": 1, "window": 1}

    rule = build_rules({name: numbers}).by_name[name]

    assert rule.state_prefix == keys.state_prefix("window", name)
    assert keys.state_prefix("window", name).isascii()
