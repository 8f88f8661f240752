"""The door in somebody's Flask app, over HTTP."""

import json
import logging
import os
import signal
import threading
from functools import wraps

import pytest
from flask import Blueprint, Flask, request

from spigot.webapp.door.door import Door, rate_limit
from spigot.webapp.door.rate_limits import bans
from spigot.webapp.door.rate_limits.refused_clients import Refused, most_refused
from spigot.webapp.door.rate_limits.rules_text import RulesError
from tests.support.fake_clock import FakeClock
from tests.support.problem_check import is_problem
from tests.support.processes import wait_for
from tests.support.round_trips import counted_round_trips

TYPES = "https://iana.org/assignments/http-problem-types#"
TWO = {"limit": 2, "window": 60}


def twice(view):
    """Stand for the decorators of other people."""

    @wraps(view)
    def wrapped():
        return view() * 2

    return wrapped


def build_app():
    app = Flask(__name__)
    files = Blueprint("files", __name__, static_folder=".", static_url_path="/files")
    app.register_blueprint(files)
    for number, path in enumerate(("/", "/other", "/livez", "/readyz", "/api/status", "/metrics")):
        app.add_url_rule(path, f"view{number}", lambda: "hello", methods=["GET", "POST"])

    @app.get("/special")
    @rate_limit("special")
    def special():
        return "special"

    @app.get("/dear")
    @twice
    @rate_limit("special", cost=2)
    def dear():
        return "dear"

    @rate_limit("one")
    @app.get("/two")
    @rate_limit("special")
    def two():
        return "two"

    @app.get("/broken")
    def broken():
        raise RuntimeError

    return app


class Doors:
    """Builds apps behind the door, on one server and one clock."""

    def __init__(self, url):
        self._url = url
        self.clock = FakeClock()

    def client(self, rules, **options):
        app = build_app()
        options = {"redis_url": self._url, "deadline": 5, "clock": self.clock, **options}
        options.setdefault("key_prefix", "")
        self.door = Door(app, rules=rules, **options)
        return app.test_client()


@pytest.fixture
def doors(redis, redis_url, monkeypatch):
    monkeypatch.setattr("spigot.webapp.door.rate_limits.refusal_counts.INTERVAL", 0.01)
    yield Doors(redis_url)
    wait_for(lambda: "refusal-counts" not in [each.name for each in threading.enumerate()])


def statuses(client, path, times, **options):
    found = []
    for _ in range(times):
        with client.get(path, **options) as answer:  # a static file is open until then
            found.append(answer.status_code)
    return found


def sender(address):
    return {"environ_overrides": {"REMOTE_ADDR": address}}


def test_a_client_gets_what_the_rule_gives_and_the_headers_say_so(doors):
    client = doors.client({"default": {"limit": 2, "window": 60}})

    first, second, third = (client.get("/") for _ in range(3))

    assert (first.status_code, first.text) == (200, "hello")
    assert first.headers["RateLimit-Policy"] == '"default";q=2;w=60'
    assert first.headers["RateLimit"] == '"default";r=1;t=60'
    assert first.headers["X-RateLimit-Limit"] == "2"
    assert first.headers["X-RateLimit-Remaining"] == "1"
    assert first.headers["X-RateLimit-Reset"] == "60"
    assert second.headers["RateLimit"] == '"default";r=0;t=60'
    assert is_problem(third, 429)
    assert third.headers["Retry-After"] == "60"
    assert third.headers["RateLimit"] == '"default";r=0;t=60'
    assert third.headers["Cache-Control"] == "no-store"
    assert third.json["type"] == TYPES + "quota-exceeded"
    assert third.json["violated-policies"] == ["default"]


def test_who_waits_as_long_as_retry_after_says_passes(doors):
    client = doors.client({"default": {"capacity": 1, "refill_rate": 0.4}})
    client.get("/")
    doors.clock.wait(0.25)
    refused = client.get("/")
    assert refused.headers["Retry-After"] == "3"

    doors.clock.wait(2.249)  # a millisecond less than the exact wait
    assert client.get("/").status_code == 429
    doors.clock.wait(0.001)
    assert client.get("/").status_code == 200


def test_one_request_is_one_round_trip_and_a_known_refusal_is_none(doors):
    client = doors.client({"default": TWO, "a": {**TWO, "match": "*"}, "b": {**TWO, "match": "/"}})
    client.get("/")

    with counted_round_trips() as sent:
        assert statuses(client, "/", 1) == [200]
        assert len(sent) == 1
        assert statuses(client, "/", 51) == [429] * 51

    assert len([packet for packet in sent if b"EVALSHA" in packet]) == 2


def test_known_refusals_answer_as_the_first(doors):
    client = doors.client({"default": TWO})
    statuses(client, "/", 2)
    asked = client.get("/")
    doors.clock.wait(0.5)

    known = client.get("/")

    assert known.json["violated-policies"] == asked.json["violated-policies"]
    assert known.headers["Retry-After"] == "60"
    assert known.headers["RateLimit"] == '"default";r=0;t=60'


def test_every_answer_has_the_headers(doors):
    client = doors.client({"default": {"limit": 9, "window": 60}})
    client.application.config["PROPAGATE_EXCEPTIONS"] = False

    answers = [client.get("/"), client.get("/nowhere"), client.delete("/"), client.get("/broken")]

    assert [answer.status_code for answer in answers] == [200, 404, 405, 500]
    assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["8", "7", "6", "5"]


def test_a_view_names_its_rule(doors):
    client = doors.client(
        {"default": {"limit": 9, "window": 60}, "special": {"limit": 3, "window": 60}}
    )

    assert statuses(client, "/special", 4) == [200, 200, 200, 429]
    assert statuses(client, "/", 1) == [200]


def test_a_view_names_its_cost_through_other_decorators(doors):
    client = doors.client({"special": {"limit": 5, "window": 60}})

    assert [client.get("/dear").text for _ in range(2)] == ["deardear"] * 2
    assert statuses(client, "/dear", 1) == [429]
    assert statuses(client, "/special", 2) == [200, 429]


def test_a_view_may_name_several_rules_in_any_order_of_decorators(doors):
    client = doors.client(
        {"special": {"limit": 9, "window": 60}, "one": {"limit": 1, "window": 60}}
    )

    assert statuses(client, "/two", 2) == [200, 429]


def test_without_the_rule_a_view_is_limited_like_others(doors, caplog):
    client = doors.client({"default": TWO})

    assert statuses(client, "/special", 3) == [200, 200, 429]
    assert [r.message for r in caplog.records if "'special'" in r.message and "special" in r.args]


def test_a_view_that_costs_too_much_takes_the_whole_quota(doors, caplog):
    client = doors.client({"special": {"limit": 1, "window": 60}})

    assert statuses(client, "/dear", 2) == [200, 429]
    assert "costs more than rate limit 'special' has in all" in caplog.text


def test_a_cost_is_at_least_one():
    with pytest.raises(ValueError, match="at least 1"):
        rate_limit("special", cost=0)


def test_no_rules_limit_nobody(doors):
    client = doors.client({})

    assert statuses(client, "/", 5) == [200] * 5
    assert "RateLimit" not in client.get("/").headers


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/api/status", "/metrics", "/files/test_door.py"]
)
def test_some_routes_are_never_limited_unless_a_rule_names_them(doors, path):
    client = doors.client({"default": {"limit": 1, "window": 60}, "all": {**TWO, "match": "*"}})
    assert statuses(client, path, 3) == [200] * 3

    client = doors.client({"named": {"limit": 1, "window": 60, "match": f"GET {path}"}})
    assert statuses(client, path, 2) == [200, 429]


def test_the_admin_is_not_limited(doors):
    client = doors.client(
        {"default": {"limit": 1, "window": 60}},
        is_admin=lambda: request.headers.get("Authorization") == "right",
    )

    assert statuses(client, "/", 3, headers={"Authorization": "right"}) == [200] * 3
    assert statuses(client, "/", 3, headers={"Authorization": "wrong"}) == [200, 429, 429]


def test_clients_are_told_apart_by_their_address(doors):
    client = doors.client({"default": {"limit": 1, "window": 60}})

    assert statuses(client, "/", 2, **sender("192.0.2.1")) == [200, 429]
    assert statuses(client, "/", 2, **sender("192.0.2.2")) == [200, 429]
    assert statuses(client, "/", 1, **sender("::ffff:192.0.2.2")) == [429]
    assert statuses(client, "/", 1, **sender("2001:db8::1")) == [200]
    assert statuses(client, "/", 1, **sender("2001:db8::2:1")) == [429]


def test_a_spoofed_header_changes_nothing(doors):
    client = doors.client({"default": {"limit": 1, "window": 60}})

    answers = [
        client.get("/", headers={"X-Forwarded-For": f"198.51.100.{number}"}) for number in range(3)
    ]

    assert [answer.status_code for answer in answers] == [200, 429, 429]


def test_behind_a_proxy_clients_are_told_apart_by_what_it_says(doors):
    client = doors.client(
        {"default": {"limit": 1, "window": 60}}, trusted_proxies=["127.0.0.0/8"], ipv6_prefix=48
    )

    def ask(forwarded_for):
        return client.get("/", headers={"X-Forwarded-For": forwarded_for}).status_code

    assert [ask("192.0.2.1"), ask("192.0.2.2"), ask("6.6.6.6, 192.0.2.2")] == [200, 200, 429]
    assert [ask("2001:db8::1"), ask("2001:db8:0:ffff::1")] == [200, 429]
    assert [ask("garbage"), ask("rubbish")] == [200, 429]


def test_an_api_key_is_a_client_and_stays_a_secret(doors, redis):
    client = doors.client({"default": {"limit": 1, "window": 60, "key": "header:X-API-Key"}})

    assert statuses(client, "/", 2, headers={"X-API-Key": "hunter2"}) == [200, 429]
    assert statuses(client, "/", 1, headers={"X-API-Key": "other"}) == [200]
    assert statuses(client, "/", 2) == [200, 429]
    assert [key for key in redis.scan_iter() if b"hunter2" in key] == []


def test_a_forbidden_address_is_403_without_the_server(doors):
    client = doors.client({"default": {**TWO, "deny": ["192.0.2.0/24"]}})

    with counted_round_trips() as sent:
        answer = client.get("/", **sender("192.0.2.1"))

    assert is_problem(answer, 403)
    assert answer.json["violated-policies"] == ["default"]
    assert sent == []


def test_a_banned_client_is_429_of_its_own_type(doors, redis):
    doors.clock.server_us = lambda: None
    client = doors.client({})
    bans.ban(redis, "127.0.0.1", 60)

    answer = client.get("/")

    assert is_problem(answer, 429)
    assert answer.json["type"] == TYPES + "abnormal-usage-detected"
    assert 59 <= int(answer.headers["Retry-After"]) <= 60
    assert "RateLimit" not in answer.headers


def test_a_rule_in_shadow_mode_is_reported_and_refuses_nobody(doors):
    trial = {"limit": 1, "window": 60, "mode": "shadow", "match": "*"}
    client = doors.client({"default": {"limit": 9, "window": 60}, "trial": trial})

    answers = [client.get("/") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert answers[-1].headers["RateLimit"] == '"trial";r=0;t=60, "default";r=6;t=60'
    assert answers[-1].headers["X-RateLimit-Remaining"] == "6"


def test_decisions_can_be_counted(doors, redis):
    seen = []
    trial = {"limit": 1, "window": 60, "mode": "shadow", "match": "*"}
    client = doors.client(
        {"default": TWO, "trial": trial},
        on_decision=lambda outcomes, seconds: seen.append((outcomes, seconds >= 0)),
    )
    statuses(client, "/", 4)

    assert seen == [
        ({"trial": "admitted", "default": "admitted"}, True),
        ({"trial": "shadow", "default": "admitted"}, True),
        ({"trial": "shadow", "default": "refused"}, True),
        ({"trial": "shadow", "default": "cached"}, True),
    ]


def test_bans_and_lists_are_counted(doors, redis):
    seen = []
    trial = {"limit": 9, "window": 60, "mode": "shadow", "match": "*", "deny": ["127.0.0.1"]}
    client = doors.client(
        {"trial": trial, "other": {**TWO, "match": "/other", "deny": ["127.0.0.1"]}},
        on_decision=lambda outcomes, seconds: seen.append(outcomes),
    )
    doors.clock.server_us = lambda: None
    client.get("/")
    client.get("/other")
    bans.ban(redis, "127.0.0.1", 60)
    client.get("/")
    client.get("/")

    assert seen == [
        {"trial": "shadow"},
        {"other": "refused"},
        {"(ban)": "refused"},
        {"(ban)": "cached"},
    ]


def test_the_most_refused_are_known(doors, redis):
    client = doors.client(
        {"default": {"limit": 1, "window": 60}, "all": {**TWO, "key": "global", "match": "/other"}}
    )
    statuses(client, "/", 5)
    statuses(client, "/other", 5, **sender("192.0.2.1"))

    wait_for(
        lambda: (
            most_refused(redis, 9)
            == [Refused("127.0.0.1", "default", 4), Refused("192.0.2.1", "all", 3)]
        )
    )


def test_init_app_may_come_later(doors, redis_url):
    app = build_app()
    door = Door(rules={"default": TWO}, redis_url=redis_url)

    door.init_app(app)

    assert app.extensions["door"] is door
    assert statuses(app.test_client(), "/", 3) == [200, 200, 429]


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "rate_limits.json"
    path.write_text(json.dumps({"default": {"limit": 1, "window": 60}}))
    return path


def test_a_changed_file_acts_within_a_second(doors, path):
    client = doors.client(path)
    assert statuses(client, "/", 2) == [200, 429]

    path.write_text(json.dumps({"default": {"limit": 3, "window": 60}}))

    assert statuses(client, "/", 1) == [429]
    doors.clock.wait(1)
    assert statuses(client, "/", 3) == [200, 200, 429]


def test_a_broken_file_keeps_the_last_good_rules_until_it_is_mended(doors, path, caplog):
    client = doors.client(path)
    path.write_text("{broken")
    for _ in range(3):
        doors.clock.wait(1)
        client.get("/")

    assert client.get("/").status_code == 429
    assert len([each for each in caplog.records if each.levelno == logging.ERROR]) == 1
    path.write_text("{}")
    doors.clock.wait(1)
    assert client.get("/").status_code == 200


def test_a_broken_file_at_the_start_stops_the_process(doors, path):
    path.write_text('{"jobs": {"limit": 0, "window": 60}}')

    with pytest.raises(RulesError, match="rule 'jobs': limit"):
        doors.client(path)


def test_sighup_looks_at_the_file_at_once(doors, path):
    before = signal.getsignal(signal.SIGHUP)
    client = doors.client(path)
    path.write_text("{}")
    try:
        doors.door.reload_on_sighup()
        os.kill(os.getpid(), signal.SIGHUP)
        assert statuses(client, "/", 3) == [200] * 3
    finally:
        signal.signal(signal.SIGHUP, before)
