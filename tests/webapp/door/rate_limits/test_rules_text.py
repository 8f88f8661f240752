import json
from ipaddress import ip_network
from pathlib import Path

import pytest

from spigot.webapp.door.rate_limits.fixed_window import FixedWindow
from spigot.webapp.door.rate_limits.rule import Match
from spigot.webapp.door.rate_limits.rules_text import RulesError, build_rules, parse_rules
from spigot.webapp.door.rate_limits.token_bucket import TokenBucket

ROOT = Path(__file__).parents[4]
BUCKET = {"capacity": 5, "refill_rate": 1}
WINDOW = {"limit": 5, "window": 60}


def limit_of(**fields):
    return build_rules({"r": fields}).by_name["r"].limit


def problem_of(**fields):
    with pytest.raises(RulesError) as error:
        build_rules({"r": fields})
    return str(error.value)


def test_no_rules_are_rules():
    assert parse_rules("{}").by_name == {}


def test_the_old_form_of_the_file_loads_as_it_is():
    text = """{"default": {"capacity": 20, "refill_rate": 5},
               "special_path": {"capacity": 50, "refill_rate": 10}}"""

    rules = parse_rules(text).by_name

    assert rules["default"].limit == TokenBucket(20, pace=1, token=200_000)
    assert rules["special_path"].limit == TokenBucket(50, pace=1, token=100_000)


def test_the_shipped_file_is_generous():
    default = parse_rules((ROOT / "rate_limits.json").read_text()).by_name["default"]

    assert default.limit.numbers == {"capacity": 200, "refill_rate": 100}


def test_the_fields_tell_the_algorithm():
    assert limit_of(capacity=5, refill_rate=2) == TokenBucket(5, pace=1, token=500_000)
    assert limit_of(limit=5, window=60) == FixedWindow(5, window_us=60_000_000)


@pytest.mark.parametrize(
    ("refill_rate", "pace", "token"),
    [
        (1, 1, 1_000_000),
        (100_000, 1, 10),
        (3, 3, 1_000_000),
        (0.1, 1, 10_000_000),
        (2.5, 1, 400_000),
        ("1/d", 1, 86_400_000_000),
        ("60/m", 1, 1_000_000),
        ("1000/h", 1, 3_600_000),
        ("7/h", 7, 3_600_000_000),
    ],
)
def test_a_rate_becomes_whole_numbers(refill_rate, pace, token):
    assert limit_of(capacity=1, refill_rate=refill_rate) == TokenBucket(1, pace, token)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"capacity": 0, "refill_rate": 1}, "capacity"),
        ({"capacity": -1, "refill_rate": 1}, "capacity"),
        ({"capacity": 1.5, "refill_rate": 1}, "capacity"),
        ({"capacity": "5", "refill_rate": 1}, "capacity"),
        ({"capacity": True, "refill_rate": 1}, "capacity"),
        ({"capacity": 10**15, "refill_rate": 1}, "capacity"),
        ({"capacity": 1, "refill_rate": 0}, "refill_rate"),
        ({"capacity": 1, "refill_rate": -0.1}, "refill_rate"),
        ({"capacity": 1, "refill_rate": True}, "refill_rate"),
        ({"capacity": 1, "refill_rate": None}, "refill_rate"),
        ({"capacity": 1, "refill_rate": float("inf")}, "refill_rate"),
        ({"capacity": 1, "refill_rate": float("nan")}, "refill_rate"),
        ({"capacity": 1, "refill_rate": 1_000_001}, "refill_rate"),
        ({"capacity": 1, "refill_rate": "often"}, "refill_rate"),
        ({"capacity": 1, "refill_rate": "0/s"}, "refill_rate"),
        ({"capacity": 1, "refill_rate": "5/s burst 3"}, "refill_rate"),
        ({"limit": 0, "window": 60}, "limit"),
        ({"limit": 1, "window": 0}, "window"),
        ({"limit": 1, "window": "60"}, "window"),
        ({"limit": 1, "window": 1e-7}, "window"),
        ({"limit": 1, "window": 1e10}, "window"),
        ({**BUCKET, "capacty": 5}, "capacty"),
        ({**BUCKET, "limit": 5}, "limit and window"),
        ({"capacity": 5}, "refill_rate"),
        ({}, "capacity and refill_rate"),
        ({**BUCKET, "cost": 0}, "cost"),
        ({**BUCKET, "cost": 6}, "cost"),
        ({**BUCKET, "on_error": "pray"}, "on_error"),
        ({**BUCKET, "mode": "shadwo"}, "mode"),
        ({**BUCKET, "match": "POST"}, "match"),
        ({**BUCKET, "match": ["/a", 1]}, "match"),
        ({**BUCKET, "match": "jobs"}, "match"),
        ({**BUCKET, "key": "cookie"}, "key"),
        ({**BUCKET, "key": "header:"}, "key"),
        ({**BUCKET, "key": "header:a b"}, "key"),
        ({**BUCKET, "key": []}, "key"),
        ({**BUCKET, "allow": "10.0.0.0/33"}, "allow"),
        ({**BUCKET, "deny": ["everyone"]}, "deny"),
    ],
)
def test_nonsense_is_refused_by_rule_and_field(fields, field):
    problem = problem_of(**fields)

    assert problem.startswith("rule 'r': ")
    assert field in problem


@pytest.mark.parametrize(
    ("capacity", "refill_rate", "most"),
    [(104_250, "1/d", "at most 104249"), (1, 1 / 3, "such as 20/m"), (1, 1e-300, "at most 0")],
)
def test_what_cannot_be_exact_is_refused_with_what_can(capacity, refill_rate, most):
    assert most in problem_of(capacity=capacity, refill_rate=refill_rate)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "no JSON"),
        ("[]", "must be an object of rules"),
        ('{"a": 5}', "rule 'a'"),
        ('{"a": {"limit": 1, "window": NaN}}', "NaN"),
        (
            '{"a": {"limit": 1, "window": 1}, "a": {"limit": 2, "window": 1}}',
            "'a' is written twice",
        ),
        ('{"": {"limit": 1, "window": 1}}', "1 to 100 characters"),
        ("[" * 100_000, "no JSON"),
        ('{"default": {"limit": 1, "window": 1, "match": "*"}}', "rule 'default': match"),
    ],
)
def test_a_broken_text_is_refused(text, problem):
    with pytest.raises(RulesError, match=".*".join(problem.split("*"))):
        parse_rules(text)


def test_every_field_is_read():
    written = {
        **WINDOW,
        "match": ["POST /jobs", "/process*"],
        "key": ["ip", "header:X-API-Key"],
        "cost": 2,
        "on_error": "deny",
        "mode": "shadow",
        "allow": "10.0.0.0/8",
        "deny": ["10.1.2.3", "::ffff:192.0.2.0/120"],
    }

    rule = build_rules({"r": written}).by_name["r"]

    assert rule.match == (Match("POST", "/jobs"), Match(None, "/process*"))
    assert rule.counted_by == ("ip", "header:x-api-key")
    assert (rule.cost, rule.on_error, rule.enforced) == (2, "deny", False)
    assert rule.allow == (ip_network("10.0.0.0/8"),)
    assert rule.deny == (ip_network("10.1.2.3/32"), ip_network("192.0.2.0/24"))


@pytest.mark.parametrize(
    "numbers", [BUCKET, WINDOW, *({"capacity": 3, "refill_rate": rate} for rate in (0.1, 3, 2.5))]
)
def test_a_rule_is_shown_as_it_may_be_written(numbers):
    shown = build_rules({"r": numbers}).by_name["r"].to_json()

    assert json.loads(json.dumps(shown)) == {
        "name": "r",
        **numbers,
        "match": [],
        "key": ["ip"],
        "cost": 1,
        "on_error": "local",
        "mode": "enforce",
        "allow": [],
        "deny": [],
    }
