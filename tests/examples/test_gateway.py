"""A limiter in front of an application: several instances, one server, one quota a client."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest

from spigot.examples.gateway import RULES, create_app
from spigot.webapp.app import create_app as create_spigot
from spigot.webapp.door.door import Door
from tests.support.spigot_up import ROOT

CLIENT = "203.0.113.5"
PROXY = {"REMOTE_ADDR": "10.1.1.1"}


@pytest.fixture
def new_instance(redis, redis_url, monkeypatch, tmp_path):
    """Return a function that builds an instance of the gateway, behind a proxy.

    Its buckets get a token back every 1000 s, so that no burst is too slow to empty them.
    """
    rules = {name: {**rule, "refill_rate": 0.001} for name, rule in read_rules().items()}
    (tmp_path / "limits.json").write_text(json.dumps(rules))
    monkeypatch.setattr("spigot.examples.gateway.RULES", tmp_path / "limits.json")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("SPIGOT_TRUSTED_PROXIES", "10.1.1.0/24")
    monkeypatch.setattr(
        "spigot.examples.gateway.Door", partial(Door, deadline=10)
    )  # we count exactly
    return lambda: create_app().test_client()


def read_rules():
    return json.loads(RULES.read_text())


def ask(instance, path="/", client=CLIENT):
    return instance.get(path, headers={"X-Forwarded-For": client}, environ_base=PROXY)


def test_instances_share_the_quota_of_a_client(new_instance):
    instances = [new_instance() for _ in range(3)]

    answers = [ask(instances[number % 3]) for number in range(60)]

    assert sum(answer.status_code == 200 for answer in answers) == 20


def test_requests_that_come_together_spend_no_token_twice(new_instance):
    instances = [new_instance() for _ in range(4)]

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda number: ask(instances[number % 4]), range(100)))

    assert sum(answer.status_code == 200 for answer in answers) == 20


def test_its_routes_promise_the_rules_of_its_file(new_instance):
    instance, rules = new_instance(), read_rules()

    for path, name in (("/", "default"), ("/special_path", "special_path")):
        capacity, rate = rules[name]["capacity"], rules[name]["refill_rate"]
        promise = f"{capacity} requests at once, then {rate} a second"
        assert instance.get(path).json["message"] == promise


def test_a_refusal_tells_what_is_left_and_when_to_come_back(new_instance):
    instance = new_instance()
    answers = [ask(instance) for _ in range(40)]

    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.headers["X-RateLimit-Limit"] == "20"
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert int(refused.headers["Retry-After"]) == pytest.approx(1000, abs=1)
    assert refused.json["violated-policies"] == ["default"]


def test_the_special_path_has_a_rule_of_its_own(new_instance):
    instance = new_instance()
    for _ in range(30):
        ask(instance)

    answer = ask(instance, "/special_path")

    assert answer.status_code == 200
    assert answer.headers["RateLimit-Policy"] == '"special_path";q=50;w=50000'
    assert answer.headers["X-RateLimit-Remaining"] == "49"


def test_a_client_is_the_address_that_the_trusted_proxy_saw(new_instance):
    instance = new_instance()
    for _ in range(30):
        ask(instance)

    assert ask(instance).status_code == 429
    assert ask(instance, client="203.0.113.6").status_code == 200
    assert ask(instance, client=f"203.0.113.6, {CLIENT}").status_code == 429


def test_a_stranger_cannot_pass_for_another_client(new_instance):
    instance = new_instance()
    answers = [
        instance.get("/", headers={"X-Forwarded-For": f"203.0.113.{number}"})
        for number in range(40)
    ]

    assert 429 in [answer.status_code for answer in answers]


def test_the_question_whether_it_lives_is_not_limited(new_instance):
    instance = new_instance()

    assert {ask(instance, "/livez").status_code for _ in range(60)} == {200}
    assert ask(instance).headers["X-RateLimit-Remaining"] == "19"


def test_its_rules_are_not_those_of_spigot_on_the_same_server(new_instance, monkeypatch):
    monkeypatch.chdir(ROOT)
    instance, spigot = new_instance(), create_spigot().test_client()
    for _ in range(30):
        ask(instance)

    assert ask(spigot, "/buckets").headers["X-RateLimit-Remaining"] == "199"
    assert ask(instance).status_code == 429
