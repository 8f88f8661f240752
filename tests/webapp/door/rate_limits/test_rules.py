"""Which rules a request must pass."""

import time

import pytest

from spigot.webapp.door.rate_limits.rule import Match
from spigot.webapp.door.rate_limits.rules_text import build_rules

NUMBERS = {"limit": 5, "window": 60}


def rules(**matches):
    return build_rules({name: {**NUMBERS, **fields} for name, fields in matches.items()})


def selected(rules, method, path, **options):
    return [rule_cost.rule.name for rule_cost in rules.costs(method, path, **options)]


@pytest.mark.parametrize(
    ("match", "method", "path"),
    [
        ("/jobs", "GET", "/jobs"),
        ("/jobs", "POST", "/jobs"),
        ("POST /jobs", "POST", "/jobs"),
        ("post /jobs", "POST", "/jobs"),
        ("GET /jobs", "HEAD", "/jobs"),
        ("*", "GET", "/any/thing"),
        ("DELETE *", "DELETE", "/"),
        ("/a*", "GET", "/a"),
        ("/a*", "GET", "/a/b/c"),
        ("/a/*/c", "GET", "/a/b/b/c"),
        ("*.png", "GET", "/images/a.png"),
        ("/a*b*c", "GET", "/axxbyyc"),
        ("/a?[b]", "GET", "/a?[b]"),
        ("/a*", "GET", "/a\nb"),
        ("/ü b", "GET", "/ü b"),
    ],
)
def test_a_match_covers(match, method, path):
    assert Match.parse(match).covers(method, path)


@pytest.mark.parametrize(
    ("match", "method", "path"),
    [
        ("/jobs", "GET", "/jobs/"),
        ("/jobs", "GET", "/Jobs"),
        ("/jobs", "GET", "/a/jobs"),
        ("POST /jobs", "GET", "/jobs"),
        ("HEAD /jobs", "GET", "/jobs"),
        ("/a/*/c", "GET", "/a/c"),
        ("/a.c", "GET", "/abc"),
        ("/a?", "GET", "/ab"),
        ("/[ab]", "GET", "/a"),
        ("*.png", "GET", "/a.png/b"),
    ],
)
def test_a_match_does_not_cover(match, method, path):
    assert not Match.parse(match).covers(method, path)


def test_no_path_makes_a_match_slow():
    match = Match.parse("*a*a*a*a*a*a*b")
    began = time.process_time()

    assert not match.covers("GET", "/" + "a" * 8000)
    assert time.process_time() - began < 1


def test_every_rule_that_covers_applies_in_the_order_of_the_file():
    found = rules(b={"match": "*"}, a={"match": "POST /jobs"}, c={"match": "/other"})

    assert selected(found, "POST", "/jobs") == ["b", "a"]


def test_default_applies_where_no_other_rule_does():
    found = rules(default={}, jobs={"match": "/jobs"})

    assert selected(found, "GET", "/jobs") == ["jobs"]
    assert selected(found, "GET", "/unknown") == ["default"]


def test_a_shadow_rule_does_not_displace_default():
    found = rules(default={}, trial={"match": "*", "mode": "shadow"})

    assert selected(found, "GET", "/") == ["trial", "default"]


def test_default_may_be_in_shadow_mode():
    found = rules(default={"mode": "shadow"})

    assert selected(found, "GET", "/") == ["default"]
    assert selected(found, "GET", "/", named=(("default", None),)) == ["default"]


def test_no_rule_may_apply():
    assert selected(rules(special={}), "GET", "/") == []


def test_a_view_names_rules_and_their_cost():
    found = rules(default={}, special={}, wide={"match": "*", "cost": 2})

    costs = found.costs("GET", "/", named=(("special", 3), ("wide", None)))

    assert [(each.rule.name, each.cost) for each in costs] == [
        ("special", 3),
        ("wide", 2),
    ]


def test_a_name_that_no_rule_has_leaves_default():
    assert selected(rules(default={}), "GET", "/", named=(("special", None),)) == ["default"]


def test_a_cost_that_could_never_be_paid_is_the_whole_quota():
    (rule_cost,) = rules(special={}).costs("GET", "/", named=(("special", 99),))

    assert rule_cost.cost == 5


def test_an_exempt_request_is_limited_only_by_rules_that_write_it_out():
    found = rules(
        default={},
        everything={"match": "*"},
        api={"match": "/api/*"},
        status={"match": "GET /api/status"},
        files={"match": "/static/*"},
    )

    assert selected(found, "GET", "/api/status", exempt="/api/status") == ["status"]
    assert selected(found, "GET", "/static/a.js", exempt="/static/") == ["files"]
    assert selected(found, "GET", "/livez", exempt="/livez") == []
    named = (("api", None),)
    assert selected(found, "GET", "/livez", exempt="/livez", named=named) == ["api"]


def test_like_requests_are_charged_alike_whatever_their_path():
    found = rules(default={})

    assert found.costs("GET", "/a") == found.costs("POST", "/b")


def test_the_headers_that_clients_are_counted_by():
    found = rules(a={"key": ["ip", "header:X-A"]}, b={"key": "header:x-a"}, c={"key": "global"})

    assert found.headers == ("header:x-a",)
