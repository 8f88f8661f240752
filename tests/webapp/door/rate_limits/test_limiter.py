"""Decisions over the wire: what they cost, and what is known without asking."""

import pytest

from spigot.runtime.server.redis_connection import connect
from spigot.webapp.door.client_address import parse_address
from spigot.webapp.door.client_identity import Client
from spigot.webapp.door.rate_limits import bans
from spigot.webapp.door.rate_limits.decision import Verdict
from spigot.webapp.door.rate_limits.limiter import Limiter
from spigot.webapp.door.rate_limits.rules_text import build_rules
from tests.support.fake_clock import FakeClock
from tests.support.round_trips import counted_round_trips

KEYED = {"limit": 2, "window": 60, "key": "header:x-api-key"}


class OneProcess:
    """A web process without its web."""

    def __init__(self, url, rules, clock=None):
        self.clock = clock or FakeClock()
        self.redis = connect(url, timeout=5, protocol=2)
        self._limiter = Limiter(self.redis, web_processes=1, clock=self.clock)
        self._clients = {}
        self.change(rules)

    def change(self, rules):
        self._rules = build_rules({name: {"match": "*", **rule} for name, rule in rules.items()})

    def client(self, ip, **headers):
        named = tuple((f"header:x-{name}", f"header:x-{name}={v}") for name, v in headers.items())
        key = ip, named
        return self._clients.setdefault(key, Client(parse_address(ip), ip, named))

    def ask(self, ip="192.0.2.1", path="/", **headers):
        return self._limiter.decide(self._rules.costs("GET", path), self.client(ip, **headers))

    def verdicts(self, times, **options):
        return [self.ask(**options).verdict.value for _ in range(times)]


@pytest.fixture
def process(redis, redis_url):
    return lambda rules: OneProcess(redis_url, rules)


def test_a_decision_is_one_round_trip_whatever_number_of_rules(process):
    one = process({f"r{number}": {"limit": 99, "window": 60} for number in range(7)})
    one.ask()

    with counted_round_trips() as sent:
        one.ask()
        one.ask(ip="192.0.2.2")

    assert len(sent) == 2


def test_the_server_is_sent_nothing_else(process, redis):
    one = process({"r": {"limit": 99, "window": 60}})
    one.ask()
    redis.config_resetstat()

    one.ask()

    done = {name.removeprefix("cmdstat_") for name in redis.info("commandstats")}
    assert done - {"config|resetstat"} == {"evalsha", "mget", "set"}


def test_a_known_refusal_is_no_round_trip(process):
    one = process({"r": {"limit": 1, "window": 60}})
    one.verdicts(2)

    with counted_round_trips() as sent:
        assert one.verdicts(100) == ["refused"] * 100

    assert sent == []


def test_a_flood_costs_one_call_per_second_and_client(process):
    one = process({"r": {"limit": 1, "window": 60}})
    one.verdicts(2)

    with counted_round_trips() as sent:
        for _ in range(500):
            one.clock.wait(0.01)
            one.ask()
            one.ask(path="/another")  # charged alike

    assert len(sent) == 5


def test_a_refusal_is_known_for_no_longer_than_the_wait(process):
    one = process({"r": {"capacity": 1, "refill_rate": 10}})
    one.ask()
    assert one.ask().wait_us == 100_000

    one.clock.wait(0.099999)
    assert one.ask().cached
    one.clock.wait(0.000001)
    assert one.ask().verdict is Verdict.ADMITTED


def test_a_known_refusal_tells_what_is_true_now(process):
    rules = {"slow": {"limit": 1, "window": 60}, "fast": {"capacity": 2, "refill_rate": 2}}
    one = process(rules)
    one.ask()
    one.clock.wait(0.2)
    fresh = one.ask()
    assert [each.remaining for each in fresh.states] == [0, 1]
    assert fresh.states[1].more_in_us == 300_000

    one.clock.wait(0.3)
    known = one.ask()

    assert known.cached
    assert known.wait_us == fresh.wait_us - 300_000
    assert [each.remaining for each in known.states] == [0, 2]
    assert known.states[0].more_in_us == known.wait_us
    assert known.states[1].more_in_us is None


def test_another_cost_is_another_question(process):
    one = process({"r": {"limit": 5, "window": 60, "cost": 4}})
    assert one.verdicts(2) == ["admitted", "refused"]

    one.change({"r": {"limit": 5, "window": 60, "cost": 1}})

    assert one.verdicts(2) == ["admitted", "refused"]


def test_other_rules_act_at_once(process):
    one = process({"r": {"limit": 1, "window": 60}})
    assert one.verdicts(2) == ["admitted", "refused"]

    one.change({"r": {"limit": 2, "window": 60}})

    assert one.verdicts(2) == ["admitted", "refused"]


def test_a_ban_acts_within_a_second_and_ends(process, redis):
    one = process({"r": {"limit": 1, "window": 60}})
    one.clock.server_us = lambda: None  # bans are on the server's own clock
    one.verdicts(2)

    bans.ban(redis, "192.0.2.1", 3600)

    assert one.verdicts(1) == ["refused"]
    one.clock.wait(1)
    assert one.verdicts(2) == ["banned", "banned"]
    assert one.verdicts(1, ip="192.0.2.2") == ["admitted"]
    bans.unban(redis, "192.0.2.1")
    one.clock.wait(1)
    assert one.verdicts(1) == ["refused"]


def test_a_ban_is_known_without_asking(process, redis):
    one = process({})
    one.clock.server_us = lambda: None
    bans.ban(redis, "192.0.2.1", 3600)
    one.ask()

    with counted_round_trips() as sent:
        assert one.verdicts(50) == ["banned"] * 50

    assert sent == []


def test_a_banned_client_spends_nothing(process, redis):
    one = process({"r": {"limit": 5, "window": 60}})
    one.clock.server_us = lambda: None
    bans.ban(redis, "192.0.2.1", 3600)

    one.ask()

    assert [*redis.scan_iter(match="*window*")] == []


def test_a_ban_may_be_on_any_name_of_a_client(process, redis):
    one = process({"r": KEYED})
    one.clock.server_us = lambda: None
    one.ask(**{"api-key": "abc"})
    bans.ban(redis, "header:x-api-key=abc", 3600)
    one.clock.wait(1)

    assert one.verdicts(1, **{"api-key": "abc"}) == ["banned"]
    assert one.verdicts(1, **{"api-key": "other"}) == ["admitted"]
    assert one.verdicts(1) == ["admitted"]


def test_clients_are_counted_by_what_the_rule_says(process):
    rules = {
        "ip": {"limit": 9, "window": 60},
        "key": {"limit": 9, "window": 60, "key": "header:x-api-key"},
        "both": {"limit": 9, "window": 60, "key": ["ip", "header:x-api-key"]},
        "all": {"limit": 9, "window": 60, "key": "global"},
    }
    one = process(rules)
    one.ask("192.0.2.1", **{"api-key": "a"})
    one.ask("192.0.2.1", **{"api-key": "b"})
    one.ask("192.0.2.2", **{"api-key": "a"})
    one.ask("192.0.2.1")

    last = one.ask("192.0.2.1", **{"api-key": "a"})

    assert {s.check.rule.name: 9 - s.remaining for s in last.states} == {
        "ip": 4,
        "key": 3,
        "both": 2,
        "all": 5,
    }


def test_lists_of_addresses_come_before_all_counting(process, redis):
    office = {
        "limit": 1,
        "window": 60,
        "allow": ["192.0.2.0/24"],
        "deny": ["192.0.2.66", "2001:db8::/32"],
    }
    one = process({"r": office})

    assert one.verdicts(3, ip="192.0.2.1") == ["admitted"] * 3
    assert one.verdicts(2, ip="198.51.100.1") == ["admitted", "refused"]
    assert one.verdicts(2, ip="2001:db8::1") == ["forbidden"] * 2
    assert one.verdicts(1, ip="192.0.2.66") == ["forbidden"]  # deny wins
    assert [*redis.scan_iter()] == [b"spigot:1:door:window:r:198.51.100.1"]


def test_a_rule_in_shadow_mode_forbids_nobody(process):
    one = process({"r": {"limit": 9, "window": 60, "mode": "shadow", "deny": ["192.0.2.1"]}})

    decision = one.ask()

    assert decision.verdict is Verdict.ADMITTED
    assert [check.rule.name for check in decision.shadowed] == ["r"]
