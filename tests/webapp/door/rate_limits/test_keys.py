import pytest
from hypothesis import given
from hypothesis import strategies as st

from spigot.webapp.door.rate_limits import keys
from spigot.webapp.door.rate_limits.rules_text import build_rules

PARTS = st.tuples(st.sampled_from(["bucket", "window"]), st.text(min_size=1), st.text(min_size=1))


@given(PARTS, PARTS)
def test_no_two_rules_or_clients_share_a_key(one, other):
    assert (keys.state(*one) == keys.state(*other)) == (one == other)


@given(PARTS, st.text(min_size=1))
def test_no_state_has_the_key_of_a_ban(state, client):
    assert keys.state(*state) != keys.ban(client)
    assert keys.state(*state) != keys.bans()


@pytest.mark.parametrize("name", ["a:b", "a b", "ü", "%3A", "a\nb", '"', "*"])
def test_a_rule_may_have_any_name(name):
    numbers = {"limit": 1, "window": 1}

    rule = build_rules({name: numbers}).by_name[name]

    assert rule.states == keys.states("window", name)
    assert keys.states("window", name).isascii()
