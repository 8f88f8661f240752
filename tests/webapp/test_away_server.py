"""Every route answers within a second whatever the server does, and works again when it does."""

from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import pytest
from redis import Redis

from spigot import create_app
from spigot.jobs.store import keys
from tests.support.problem_check import is_problem
from tests.support.processes import wait_for

ADD = {"type": "add", "payload": {"x": 1}}
ADMIN = ("admin", "secret")
ROUTES = [
    ("POST", "/jobs"),
    ("POST", "/shout/hi"),
    ("GET", "/jobs/abc"),
    ("GET", "/buckets"),
    ("GET", "/buckets/default"),
    ("GET", "/api/status"),
    ("GET", "/readyz"),
    ("GET", "/rq/0/data/queues.json"),
    ("GET", "/rq/0/data/workers.json"),
    ("GET", "/rq/0/data/jobs/default/queued/8/asc/1.json"),
]


@pytest.fixture
def client(server, settings):
    app = create_app(settings(redis_url=server.url, admin_password="secret"))
    return app.test_client()


def answer_within_a_second(client, method, path):
    began = monotonic()
    response = client.open(path, method=method, json=ADD, auth=ADMIN)
    assert monotonic() - began < 1
    return response


def says_that_the_server_is_away(response):
    return is_problem(response, 503) and int(response.headers["Retry-After"]) >= 1


def test_a_server_that_hangs_is_503(client, server):
    client.get("/rq/0/data/workers.json", auth=ADMIN)  # RQ must not raise the timeout
    server.hang()

    def ask(route):
        own = client.application.test_client()
        return route, [answer_within_a_second(own, *route) for _ in ("old", "new connection")]

    with ThreadPoolExecutor(len(ROUTES)) as pool:
        for route, answers in pool.map(ask, ROUTES):
            assert all(map(says_that_the_server_is_away, answers)), route


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_a_server_that_is_gone_is_503(client, server, method, path):
    server.kill()

    assert says_that_the_server_is_away(answer_within_a_second(client, method, path))


def test_the_web_process_lives_on(client, server):
    server.hang()

    assert answer_within_a_second(client, "GET", "/livez").status_code == 200
    page = answer_within_a_second(client, "GET", "/")
    assert page.status_code == 503
    assert "Nothing can be shown now" in page.text


def test_bad_input_is_told_without_the_server(client, server):
    server.kill()

    assert is_problem(client.post("/jobs", json={"type": "nothing"}), 422)


def test_the_start_does_not_need_the_server(server, settings, caplog):
    server.kill()

    client = create_app(settings(redis_url=server.url)).test_client()

    assert "the buckets are published when the server answers" in caplog.text
    assert is_problem(client.post("/jobs", json=ADD), 503)
    server.start()
    assert [bucket["name"] for bucket in client.get("/buckets").json["buckets"]] == [
        "default",
        "narrow",
    ]


@pytest.mark.parametrize("path", ["/jobs", "/shout/hi"])
def test_a_restarted_empty_server_takes_jobs_at_once(client, server, path):
    client.post(path, json=ADD)
    server.kill()
    server.start()

    assert client.post(path, json=ADD).status_code == 202


def test_a_server_that_goes_on_has_the_job_at_most_once(client, server, settings):
    server.hang()
    assert is_problem(client.post("/jobs", json=ADD), 503)
    server.go_on()

    wait_for(lambda: client.get("/readyz").status_code == 200)
    assert client.get("/buckets/default").json["waiting"] <= 1


def test_a_forgotten_script_is_loaded_again(client, server):
    with Redis.from_url(server.url) as redis:
        redis.script_flush()
        assert client.post("/jobs", json=ADD).status_code == 202
        assert redis.llen(keys.queue("default")) == 1
