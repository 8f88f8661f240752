"""Many processes and many clients at once: the totals are exact."""

import json
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from spigot.webapp.door.rate_limits.decide import DecideScript
from spigot.webapp.door.rate_limits.decision import Verdict
from spigot.webapp.door.rate_limits.rule_cost import RuleCheck, RuleCost
from spigot.webapp.door.rate_limits.rules_text import build_rules
from tests.support.processes import run_script, wait_for
from tests.support.shipped_web import ask_over_http, web

PROCESSES = 8

ASK = """
import json, sys
from spigot.runtime.server.redis_connection import connect
from spigot.webapp.door.client_identity import Client
from spigot.webapp.door.rate_limits.clock import Clock
from spigot.webapp.door.rate_limits.limiter import Limiter
from spigot.webapp.door.rate_limits.rules_text import parse_rules

url, rules, seconds, times = sys.argv[1:]
redis = connect(url, timeout=60, protocol=2)
limiter = Limiter(redis, web_processes=1, clock=Clock())
costs = parse_rules(rules).costs("GET", "/")
client = Client(None, "192.0.2.1")
redis.rpush("ready", 1)
redis.blpop("go", 60)
end_us = Clock().monotonic_us() + float(seconds) * 1_000_000
found = []
while len(found) < int(times) and Clock().monotonic_us() < end_us:
    found.append(limiter.decide(costs, client).verdict.value)
print(json.dumps({word: found.count(word) for word in set(found)}))
"""


def race(redis, redis_url, rules, *, seconds=30, times=10**9, before=lambda: None):
    """Let the processes ask as fast as they can; return how many requests were admitted.

    When all of them are ready ``before`` is called, and then they go.
    """
    arguments = [redis_url, json.dumps(rules), str(seconds), str(times)]
    with ExitStack() as stack:
        processes = [stack.enter_context(run_script(ASK, *arguments)) for _ in range(PROCESSES)]
        wait_for(lambda: redis.llen("ready") == PROCESSES)
        before()
        redis.rpush("go", *range(PROCESSES))
        found = [json.loads(process.stdout.read()) for process in processes]
    assert set().union(*found) <= {"admitted", "refused"}
    return sum(counts.get("admitted", 0) for counts in found)


@pytest.mark.slow
def test_processes_at_once_get_what_the_rules_give_and_not_one_more(redis, redis_url):
    rules = {
        "bucket": {"capacity": 1000, "refill_rate": "1/d", "match": "*"},
        "window": {"limit": 600, "window": 3600, "match": "*"},
    }

    assert race(redis, redis_url, rules, times=300) == 600

    level, _, token = struct.unpack(">ddd", redis.get("spigot:1:door:bucket:bucket:192.0.2.1"))
    spent, _ = struct.unpack(">dd", redis.get("spigot:1:door:window:window:192.0.2.1"))
    assert (level // token, spent) == (400, 600)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(240)  # so it begins first: it leaves no core to others
def test_clients_that_keep_asking_get_all_that_is_earned_to_the_unit(redis, redis_url):
    rules = {"default": {"capacity": 100_000, "refill_rate": 1000}}  # far from full at any time
    states = []

    def state():
        return struct.unpack(">ddd", redis.get("spigot:1:door:bucket:default:192.0.2.1"))

    def spend_all():
        (rule,) = build_rules(rules).by_name.values()
        checks = [RuleCheck.of(RuleCost(rule, 100_000), "192.0.2.1")]
        script = DecideScript(redis)
        assert script.run(script.pack(checks), checks).verdict is Verdict.ADMITTED
        states.append(state())

    admitted = race(redis, redis_url, rules, seconds=3, before=spend_all)

    (empty, began_us, _), (level, ended_us, token) = states[0], state()
    assert empty == 0
    assert admitted > 1000
    assert admitted * token + level == ended_us - began_us  # a unit is earned per microsecond


@pytest.mark.slow
def test_two_web_processes_and_fifty_clients_get_exactly_the_quota(redis, redis_url, tmp_path):
    path = tmp_path / "rate_limits.json"
    path.write_text(json.dumps({"default": {"limit": 400, "window": 3600}}))

    with web(redis_url, path) as (port, _), ThreadPoolExecutor(50) as pool:
        found = [
            pair
            for pairs in pool.map(lambda _: ask_over_http(port, 20), range(50))
            for pair in pairs
        ]

    assert {answer.status for answer in found} == {200, 429}
    left = [int(each.headers["X-RateLimit-Remaining"]) for each in found if each.status == 200]
    assert sorted(left) == list(range(400))  # each is told another number, and the truth
