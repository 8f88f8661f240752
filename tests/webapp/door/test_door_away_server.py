"""The door while its server hangs, dies, comes back or forgets."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from flask import Flask
from redis import Redis

from spigot.webapp.door.door import Door
from tests.support.problem_check import is_problem
from tests.support.processes import wait_for
from tests.support.round_trips import counted_round_trips
from tests.support.servers import Server

DEADLINE = 0.1
A_LITTLE = 0.9
"""What a loaded machine may add."""

RULES = {
    "default": {"limit": 8, "window": 3600},
    "open": {"limit": 1, "window": 3600, "match": "/open", "on_error": "allow"},
    "shut": {"limit": 8, "window": 3600, "match": "/shut", "on_error": "deny"},
}


class DoorApp:
    """An app behind the door, as one of two web processes."""

    def __init__(self, url):
        app = Flask(__name__)
        for path in ("/", "/open", "/shut"):
            app.add_url_rule(path, path, lambda: "hello")
        self.outcomes = []
        Door(
            app,
            rules=RULES,
            redis_url=url,
            deadline=DEADLINE,
            web_processes=2,
            on_decision=lambda outcomes, seconds: self.outcomes.extend(outcomes.values()),
        )
        self._app = app

    def get(self, path="/", client="192.0.2.1"):
        """Ask once; fail if it takes longer than the deadline and a little."""
        began = monotonic()
        answer = self._app.test_client().get(path, environ_overrides={"REMOTE_ADDR": client})
        assert monotonic() - began < DEADLINE + A_LITTLE
        return answer

    def statuses(self, times, path="/", **options):
        return [self.get(path, **options).status_code for _ in range(times)]

    def is_decided_by_the_server(self):
        self.get(client="203.0.113.9")
        return self.outcomes[-1] in ("admitted", "refused", "cached")


@pytest.fixture
def app(server):
    return DoorApp(server.url)


@pytest.mark.parametrize("stop", [Server.hang, Server.kill])
@pytest.mark.parametrize("connected", [True, False])
def test_a_process_decides_alone_by_its_share(server, app, stop, connected):
    if connected:
        app.get(client="203.0.113.1")
    stop(server)

    assert app.statuses(6) == [200] * 4 + [429] * 2
    assert set(app.outcomes[-6:]) == {"failed_open", "refused"}


@pytest.mark.parametrize("stop", [Server.hang, Server.kill])
def test_a_rule_that_allows_lets_everybody_in(server, app, stop):
    stop(server)

    assert app.statuses(5, "/open") == [200] * 5
    assert set(app.outcomes) == {"failed_open"}


@pytest.mark.parametrize("stop", [Server.hang, Server.kill])
def test_a_rule_that_denies_lets_nobody_in(server, app, stop):
    stop(server)

    answer = app.get("/shut")

    assert is_problem(answer, 429)
    assert answer.json["type"].endswith("#temporary-reduced-capacity")
    assert answer.json["violated-policies"] == ["shut"]
    assert int(answer.headers["Retry-After"]) >= 1
    assert app.outcomes == ["failed_closed"]


def test_a_server_that_hangs_is_not_waited_for_again_and_again(server, app):
    app.get()
    server.hang()

    with counted_round_trips() as sent:
        began = monotonic()
        app.statuses(50)
        took = monotonic() - began

    asked = [packet for packet in sent if b"EVALSHA" in packet]
    assert len(asked) <= 1 + took / 0.5  # one per pause


def test_no_request_of_many_waits_longer_than_the_deadline(server, app):
    app.get()
    server.hang()

    with ThreadPoolExecutor(32) as pool:
        found = list(pool.map(lambda number: app.get(client=f"192.0.2.{number}"), range(64)))

    assert {answer.status_code for answer in found} == {200}


@pytest.mark.parametrize(
    ("stop", "recover"),
    [(Server.hang, Server.go_on), (Server.kill, Server.start)],
)
def test_the_server_decides_again_within_two_seconds(server, app, stop, recover):
    app.statuses(2)
    stop(server)
    app.statuses(2)

    recover(server)

    wait_for(app.is_decided_by_the_server, seconds=2)
    assert all(app.is_decided_by_the_server() for _ in range(20))


def test_a_restart_between_two_requests_is_not_noticed(server, app):
    app.get()
    server.kill()
    server.start()

    assert app.statuses(9) == [200] * 8 + [429]
    assert "failed_open" not in app.outcomes


def test_a_forgotten_script_costs_no_decision(server, app):
    with Redis.from_url(server.url) as redis:
        for times in (3, 3, 3):
            app.statuses(times)
            redis.script_flush()

    assert app.outcomes == ["admitted"] * 8 + ["refused"]


def test_a_server_that_takes_no_writes_is_as_good_as_none(server, app):
    with Redis.from_url(server.url) as redis:
        redis.config_set("maxmemory", 1)
        assert app.statuses(6) == [200] * 4 + [429] * 2
        redis.config_set("maxmemory", 0)

    wait_for(app.is_decided_by_the_server, seconds=2)
