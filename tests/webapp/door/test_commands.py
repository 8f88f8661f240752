"""``spigot limits``, as a shell runs it."""

import json
import time
from datetime import datetime

import pytest

from spigot.runtime.server.redis_connection import connect
from spigot.webapp.door.client_identity import Client, name_of_header
from spigot.webapp.door.rate_limits import bans
from spigot.webapp.door.rate_limits.clock import Clock
from spigot.webapp.door.rate_limits.decision import Verdict
from spigot.webapp.door.rate_limits.limiter import Limiter
from spigot.webapp.door.rate_limits.refusal_counts import write_refusals
from spigot.webapp.door.rate_limits.rules_file import read_rules
from tests.support.command_line import run_spigot

KEY = "header:x-api-key"
RULES = {
    "default": {"capacity": 20, "refill_rate": 0.5},
    "jobs": {"limit": 5, "window": 3600, "match": ["POST /jobs", "/jobs/*"], "cost": 2},
    "keyed": {"limit": 9, "window": 60, "key": "header:X-API-Key", "mode": "shadow"},
    "both": {"limit": 9, "window": 60, "key": ["ip", "header:X-API-Key"], "on_error": "deny"},
    "all": {"limit": 99, "window": 60, "key": "global"},
}


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path, redis, redis_url):
    """The environment of a shell."""
    path = tmp_path / "rate_limits.json"
    path.write_text(json.dumps(RULES))
    monkeypatch.setenv("SPIGOT_RATE_LIMITS", str(path))
    monkeypatch.setenv("REDIS_URL", "redis://localhost:1")
    monkeypatch.setenv("SPIGOT_LIMITS_REDIS_URL", redis_url)
    return path


@pytest.fixture
def spend(settings, redis_url):
    """Return what spends from all rules, as a request of a client would."""
    limiter = Limiter(connect(redis_url, timeout=5, protocol=2), web_processes=1, clock=Clock())
    named = tuple((name, None) for name in RULES)
    costs = read_rules(settings).costs("GET", "/", named)

    def spend(ip, api_key=""):
        headers = ((KEY, name_of_header(KEY, api_key)),) if api_key else ()
        assert limiter.decide(costs, Client(None, ip, headers)).verdict is Verdict.ADMITTED

    return spend


def ok(*arguments):
    result = run_spigot("limits", *arguments)
    assert (result.exit_code, result.stderr) == (0, ""), result
    return result.stdout


def read(*arguments):
    return json.loads(ok(*arguments, "--json"))


def problem(*arguments):
    result = run_spigot("limits", *arguments)
    assert (result.exit_code, result.stdout) == (1, ""), result
    assert result.stderr.count("\n") == 1
    return result.stderr


def test_list_shows_the_rules():
    table = ok("list").splitlines()

    assert table[1].split("  ")[0] == "default"
    assert "  20, 0.5/s  " in table[1]
    assert "  5 in 3600 s  " in table[2]
    assert "all others" in table[1]
    assert "POST /jobs, /jobs/*" in table[2]
    assert "by name" in table[3]
    assert [rule["name"] for rule in read("list")["rules"]] == list(RULES)


def test_check_says_that_a_file_can_be_used(settings):
    assert ok("check", str(settings)) == f"{settings}: 5 rules can be used\n"
    assert read("check", str(settings))["rules"] == list(RULES)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('{"jobs": {"limit": 0, "window": 60}}', "rule 'jobs': limit"),
        ("{", "is no JSON"),
        (
            '{"a": {"capcity": 5, "refill_rate": 1}}',
            "capcity: there is no such field; did you mean capacity?",
        ),
        (
            '{"a": {"capacity": 5, "rate": "1/s"}}',
            "rate: there is no such field in rate_limits.json; this looks like buckets.json",
        ),
        ('{"a": {"capacity": 5, "workers": 1}}', "this looks like buckets.json"),
        ('{"a": {"zzz": 1}}', "there is no such field; known: capacity, refill_rate, limit,"),
        (None, "cannot be read"),
    ],
)
def test_check_says_what_cannot_be_used(tmp_path, content, said):
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)

    assert said in problem("check", str(path))
    assert str(path) in problem("check", str(path))


def test_the_list_fits_the_terminal(monkeypatch, settings):
    monkeypatch.setenv("COLUMNS", "80")
    written = {"limit": 5, "window": 3600, "key": ["ip", "header:X-API-Key"], "match": "POST /p/*"}
    settings.write_text(json.dumps({f"a-rule-{n}": written for n in range(3)}))

    assert max(map(len, ok("list").splitlines())) <= 80


def test_show_tells_what_a_client_has_left(spend):
    spend("192.0.2.1", "secret")
    spend("192.0.2.1")

    shown = read("show", "192.0.2.1")

    key = name_of_header(KEY, "secret")
    assert (shown["client"], shown["banned_until_at"]) == ("192.0.2.1", None)
    assert [(rule["rule"], rule["counted_as"], rule["remaining"]) for rule in shown["rules"]] == [
        ("default", "192.0.2.1", 18),
        ("jobs", "192.0.2.1", 0),
        ("keyed", "192.0.2.1", 8),
        ("both", "192.0.2.1,192.0.2.1", 8),
        ("both", f"192.0.2.1,{key}", 8),
    ]
    assert "jobs" in ok("show", "192.0.2.1")


def test_show_tells_when_there_is_more(spend):
    spend("192.0.2.1")

    (default, jobs, *_) = read("show", "192.0.2.1")["rules"]

    assert 0 < default["more_in"] <= 2
    assert 3590 < jobs["more_in"] <= 3600


def test_show_finds_a_client_by_its_header(spend):
    spend("192.0.2.1", "secret")

    shown = read("show", "header:X-API-Key=secret")

    assert shown["client"] == name_of_header(KEY, "secret")
    assert [(rule["rule"], rule["remaining"]) for rule in shown["rules"]] == [
        ("keyed", 8),
        ("both", 8),
    ]
    as_printed = read("show", shown["client"])
    assert [rule["remaining"] for rule in as_printed["rules"]] == [8, 8]


def test_show_knows_what_all_clients_share(spend):
    spend("192.0.2.1")

    assert [(rule["rule"], rule["remaining"]) for rule in read("show", "global")["rules"]] == [
        ("all", 98)
    ]


def test_reset_gives_back_all_that_a_client_has_spent(spend):
    spend("192.0.2.1", "secret")
    spend("192.0.2.2", "secret")

    assert read("reset", "192.0.2.1") == {"client": "192.0.2.1", "reset": 3}

    assert [rule["remaining"] for rule in read("show", "192.0.2.1")["rules"]] == [20, 2, 9]
    assert [rule["remaining"] for rule in read("show", "192.0.2.2")["rules"]] == [19, 1, 9, 8]
    assert ok("reset", "192.0.2.1") == "192.0.2.1: 0 limits are as new\n"


def test_one_rule_is_counted_as_one(spend, settings):
    spend("192.0.2.1")
    settings.write_text(json.dumps({"default": RULES["default"]}))

    assert ok("check", str(settings)) == f"{settings}: 1 rule can be used\n"
    assert ok("reset", "192.0.2.1") == "192.0.2.1: 1 limit is as new\n"


def test_an_ipv6_address_stands_for_its_prefix(spend, monkeypatch):
    monkeypatch.setenv("SPIGOT_IPV6_PREFIX", "56")
    spend("2001:db8::/56")

    assert read("show", "2001:db8::ff:1")["client"] == "2001:db8::/56"
    assert read("reset", "2001:db8::ff:1")["reset"] == 4


def until(text):
    return datetime.fromisoformat(text).timestamp() - time.time()


@pytest.mark.parametrize(
    ("options", "seconds"), [((), 3600), (("--for", "90s"), 90), (("--for", "2d"), 172_800)]
)
def test_ban_shuts_a_client_out_for_a_while(redis, options, seconds):
    banned = read("ban", "192.0.2.1", *options)

    assert banned["client"] == "192.0.2.1"
    assert until(banned["banned_until_at"]) == pytest.approx(seconds, abs=10)
    assert read("show", "192.0.2.1")["banned_until_at"] == banned["banned_until_at"]
    assert read("bans")["bans"] == [banned]
    assert "192.0.2.1 is banned until 2" in ok("ban", "192.0.2.1")
    assert "192.0.2.1" in ok("bans")


def test_unban_lets_a_client_in_again(redis):
    ok("ban", "2001:db8::1")

    assert ok("unban", "2001:db8::2") == "2001:db8::/64 is no longer banned\n"
    assert ok("unban", "2001:db8::2") == "2001:db8::/64 was not banned\n"
    assert bans.banned(redis) == {}


def test_a_ban_that_would_not_act_is_refused():
    assert "no rule" in problem("ban", "header:X-Other=1")
    assert "cannot be banned" in problem("ban", "global")
    assert read("ban", "header:X-API-Key=1")


@pytest.mark.parametrize("duration", ["", "1", "0s", "1w", "-1h", "99999d", "1h30m"])
def test_what_is_no_duration_is_refused(duration):
    assert "write it like 90s, 30m, 1h or 7d" in problem("ban", "192.0.2.1", "--for", duration)


@pytest.mark.parametrize("command", ["show", "reset", "ban", "unban"])
def test_what_names_no_client_is_refused(command):
    assert "give an IP address or header:NAME=VALUE" in problem(command, "example.org")


def test_top_shows_who_is_refused_most(redis):
    write_refusals(redis, {("192.0.2.1", "jobs"): 7, ("192.0.2.2", "default"): 9})

    assert read("top") == {
        "refused": [
            {"client": "192.0.2.2", "rule": "default", "count": 9},
            {"client": "192.0.2.1", "rule": "jobs", "count": 7},
        ]
    }
    assert len(read("top", "--count", "1")["refused"]) == 1
    assert ok("top").splitlines()[1].split() == ["192.0.2.2", "default", "9"]


def test_top_does_not_scan(redis):
    redis.config_resetstat()

    read("top")

    done = {name.removeprefix("cmdstat_") for name in redis.info("commandstats")}
    assert "zunion" in done
    assert not done & {"scan", "keys"}


@pytest.mark.parametrize("command", ["show 192.0.2.1", "ban 192.0.2.1", "top", "bans"])
def test_a_server_that_is_away_is_told_in_a_line(monkeypatch, command):
    monkeypatch.setenv("SPIGOT_LIMITS_REDIS_URL", "redis://:secret@localhost:1")

    said = problem(*command.split())

    assert "does not answer" in said
    assert "secret" not in said


def test_the_door_has_the_server_of_all_if_it_has_none_of_its_own(monkeypatch, redis_url):
    monkeypatch.delenv("SPIGOT_LIMITS_REDIS_URL")
    monkeypatch.setenv("REDIS_URL", redis_url)

    assert read("bans") == {"bans": []}


@pytest.mark.parametrize(
    "command", ["", "list", "check", "show", "reset", "ban", "unban", "bans", "top"]
)
def test_every_command_has_help_with_an_example(command):
    assert "Example: spigot limits" in ok(*command.split(), "--help")
