"""Several applications with a door on one server."""

import json
import logging

import pytest
from flask import Flask

from spigot.runtime.server.server_url import NoServerError
from spigot.webapp.door.door import Door, rate_limit
from spigot.webapp.door.rate_limits import bans, keys
from spigot.webapp.door.rate_limits.refused_clients import Refused, most_refused
from tests.support.command_line import run_spigot
from tests.support.processes import wait_for

pytestmark = pytest.mark.usefixtures("redis")  # which is emptied after each test

RULES = {
    "few": {"limit": 2, "window": 3600, "match": "*"},
    "both": {"limit": 9, "window": 60, "match": "*", "key": ["ip", "header:X-API-Key"]},
}
NAMES = ["shop", "shop two", "shop:2", "läden", "*", "[a-z]", "shop%3A2", "a\\b", "spigot:1:door"]


def build(url, name, **options):
    app = Flask(name)
    app.add_url_rule("/", "hello", lambda: "hello")
    Door(app, rules=RULES, redis_url=url, deadline=5, **options)
    return app.test_client()


def statuses(client, times):
    return [client.get("/").status_code for _ in range(times)]


@pytest.fixture(autouse=True)
def shell(monkeypatch, tmp_path, redis, redis_url):
    path = tmp_path / "rate_limits.json"
    path.write_text(json.dumps(RULES))
    monkeypatch.setenv("SPIGOT_RATE_LIMITS", str(path))
    monkeypatch.setenv("REDIS_URL", redis_url)


def limits(*arguments):
    result = run_spigot("limits", *arguments, "--json")
    assert (result.exit_code, result.stderr) == (0, ""), result
    return json.loads(result.stdout)


def left(*arguments):
    return {
        each["rule"]: each["remaining"] for each in limits("show", "127.0.0.1", *arguments)["rules"]
    }


def test_the_name_of_the_app_sets_them_apart(redis_url):
    one, same, other = (build(redis_url, name) for name in ("one", "one", "other"))

    assert statuses(one, 3) == [200, 200, 429]
    assert statuses(same, 1) == [429]
    assert statuses(other, 2) == [200, 200]


def test_any_names_are_set_apart(redis_url):
    for name in NAMES:
        assert statuses(build(redis_url, name), 3) == [200, 200, 429], name


def test_a_key_prefix_overrides_the_name(redis, redis_url):
    one, same, other = (
        build(redis_url, name, key_prefix=prefix)
        for name, prefix in (("one", "a:"), ("two", "a"), ("one", "b"))
    )

    assert statuses(one, 3) == [200, 200, 429]
    assert statuses(same, 1) == [429]
    assert statuses(other, 2) == [200, 200]
    of_doors = redis.scan_iter(f"*{keys.PREFIX}*")
    assert {key.partition(b":")[0] for key in of_doors} == {b"a", b"b"}


def test_one_door_may_stand_on_two_apps(redis_url):
    door = Door(rules=RULES, redis_url=redis_url, deadline=5)
    clients = []
    for name in ("one", "other"):
        app = Flask(name)
        app.add_url_rule("/", "hello", lambda: "hello")
        door.init_app(app)
        clients.append(app.test_client())

    assert [statuses(client, 3) for client in clients] == [[200, 200, 429]] * 2


def test_one_door_warns_each_app_of_its_own_views(redis_url, caplog):
    door = Door(rules=RULES, redis_url=redis_url, deadline=5)
    for name in ("one", "other"):
        app = Flask(name)
        app.add_url_rule("/", name, rate_limit("nosuch")(lambda: "hello"))
        door.init_app(app)
        statuses(app.test_client(), 2)

    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        f"view {name} asks for rate limit 'nosuch': no rule has that name"
        for name in ("one", "other")
    ]


def test_without_a_prefix_the_keys_are_those_of_spigots_own_web(redis, redis_url):
    statuses(build(redis_url, "one", key_prefix=""), 1)

    assert {key.decode() for key in redis.scan_iter()} == {
        f"{keys.state_prefix('window', 'few')}127.0.0.1",
        f"{keys.state_prefix('window', 'both')}127.0.0.1,127.0.0.1",
    }


def test_one_line_says_how_they_are_set_apart(redis_url, caplog):
    with caplog.at_level(logging.INFO):
        build(redis_url, "shop")
        build(redis_url, "shop", key_prefix="")
        build(redis_url, "shop", key_prefix="own")

    assert [record.getMessage() for record in caplog.records] == [
        "clients of app 'shop' are counted under the prefix 'shop:'"
    ]


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_look_at_the_application_that_is_named(redis_url, redis, name):
    client = build(redis_url, name)
    client.get("/", headers={"X-API-Key": "secret"})
    build(redis_url, "shopping").get("/", headers={"X-API-Key": "other"})

    assert left("--prefix", name) == {"few": 1, "both": 8}
    assert left() == {"few": 2}
    assert limits("reset", "127.0.0.1")["reset"] == 0
    assert limits("reset", "127.0.0.1", "--prefix", name)["reset"] == 2
    assert left("--prefix", name) == {"few": 2}


def test_bans_are_for_one_application(redis, redis_url):
    one, other = build(redis_url, "one"), build(redis_url, "other")

    limits("ban", "127.0.0.1", "--prefix", "one")

    assert [statuses(client, 1) for client in (one, other)] == [[429], [200]]
    assert [each["client"] for each in limits("bans", "--prefix", "one")["bans"]] == ["127.0.0.1"]
    assert limits("bans") == {"bans": []}
    assert limits("show", "127.0.0.1", "--prefix", "one")["banned_until_at"]
    assert limits("unban", "127.0.0.1")["was_banned"] is False
    assert limits("unban", "127.0.0.1", "--prefix", "one:")["was_banned"] is True
    assert bans.banned(redis, "one:") == {}


def test_the_most_refused_are_those_of_one_application(redis, redis_url):
    statuses(build(redis_url, "one"), 3)
    client = build(redis_url, "other")
    limits("ban", "127.0.0.1", "--prefix", "other")
    client.get("/")
    wait_for(lambda: most_refused(redis, 9, "one:") and most_refused(redis, 9, "other:"))

    assert most_refused(redis, 9) == []
    assert most_refused(redis, 9, "other:") == [Refused("127.0.0.1", "(ban)", 1)]
    assert [each["rule"] for each in limits("top", "--prefix", "other")["refused"]] == ["(ban)"]


def test_without_a_url_server_and_proxies_are_those_of_the_settings(monkeypatch, redis_url):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("SPIGOT_LIMITS_REDIS_URL", redis_url)
    monkeypatch.setenv("SPIGOT_TRUSTED_PROXIES", "127.0.0.1")
    client = build(None, "shop")

    for visitor in ("192.0.2.7", "192.0.2.8"):
        headers = {"X-Forwarded-For": visitor}
        answers = [client.get("/", headers=headers).status_code for _ in range(3)]
        assert answers == [200, 200, 429]


def test_a_redis_url_that_cannot_be_used_is_told_as_one_of_the_settings():
    with pytest.raises(ValueError, match=r"^redis_url=\(hidden\) cannot be used: .*") as raised:
        Door(rules=RULES, redis_url="nonsense")
    told = "must begin with redis:// or rediss:// or unix:// or sentinel:// or sentinels://"

    assert str(raised.value).endswith(f": {told}")


def test_a_connection_in_place_of_a_redis_url_is_refused(redis):
    with pytest.raises(ValueError, match=r"^redis_url must be the text of a URL, not a Redis$"):
        Door(rules=RULES, redis_url=redis)


def test_one_network_in_place_of_a_list_is_refused():
    with pytest.raises(ValueError, match=r"trusted_proxies must be a list, .* \['10\.0\.0\.1'\]"):
        Door(rules={}, redis_url="redis://127.0.0.1:1", trusted_proxies="10.0.0.1")


def test_without_a_url_and_a_server_the_message_says_what_to_set(monkeypatch, tmp_path):
    monkeypatch.delenv("REDIS_URL")
    monkeypatch.setenv("SPIGOT_DATA_DIR", str(tmp_path))

    with pytest.raises(NoServerError, match="set REDIS_URL, or run `spigot up`"):
        build(None, "shop")


def test_with_a_url_no_setting_is_read(monkeypatch, redis_url):
    monkeypatch.setenv("SPIGOT_TRUSTED_PROXIES", "127.0.0.1")
    monkeypatch.setenv("PORT", "nonsense")
    client = build(redis_url, "shop")

    for visitor, status in (("192.0.2.7", 200), ("192.0.2.8", 200), ("192.0.2.9", 429)):
        assert client.get("/", headers={"X-Forwarded-For": visitor}).status_code == status
