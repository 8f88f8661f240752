from concurrent.futures import ThreadPoolExecutor

import pytest

from spigot import create_app
from spigot.jobs.store import keys
from spigot.runtime.server.redis_connection import connect
from tests.support.problem_check import is_problem
from tests.support.redis_content import content
from tests.support.servers import own_server

ADD = {"type": "add", "payload": {"x": 1, "y": 2}}
KEY = {"Idempotency-Key": "8e03978e-40d5-43dd-bc93-6894a57f9324"}


def test_the_same_request_again_is_answered_with_the_first_job(client, redis):
    first = client.post("/jobs", json=ADD, headers=KEY)
    before = content(redis)

    again = client.post("/jobs", json=ADD, headers=KEY)

    assert (first.status_code, again.status_code) == (202, 200)
    assert again.json["id"] == first.json["id"]
    assert again.headers["Location"] == first.headers["Location"]
    assert content(redis) == before


def test_it_shows_the_job_as_it_is_now(client, redis):
    first = client.post("/jobs", json=ADD, headers=KEY)
    redis.hset(keys.job(first.json["id"]), "status", "finished")

    assert client.post("/jobs", json=ADD, headers=KEY).json["status"] == "finished"


@pytest.mark.parametrize(
    "body",
    [
        b'{"payload": {"y": 2, "x": 1}, "type": "add"}',
        b' {"type":"add","payload":{"x":1,"y":2},"priority":"default"} ',
    ],
)
def test_the_same_request_may_be_written_differently(client, body):
    first = client.post("/jobs", json=ADD, headers=KEY)

    again = client.post("/jobs", data=body, headers={**KEY, "Content-Type": "application/json"})

    assert (again.status_code, again.json["id"]) == (200, first.json["id"])


@pytest.mark.parametrize(
    "other",
    [
        {"type": "add", "payload": {"x": 1, "y": 3}},
        {"type": "add", "payload": {"x": 1}},
        {"type": "shout", "payload": {"text": "x"}},
        {**ADD, "priority": "high"},
    ],
)
def test_another_request_with_the_key_is_refused(client, redis, other):
    client.post("/jobs", json=ADD, headers=KEY)
    before = content(redis)

    assert is_problem(client.post("/jobs", json=other, headers=KEY), 409)
    assert content(redis) == before


def test_another_key_makes_another_job(client):
    ids = {
        client.post("/jobs", json=ADD, headers={"Idempotency-Key": key}).json["id"]
        for key in ("a", "A", '"a"')
    }

    assert len(ids) == 3


def test_the_keys_of_another_client_are_others(client):
    first = client.post("/jobs", json=ADD, headers=KEY)
    other = client.post(
        "/jobs", json=ADD, headers=KEY, environ_overrides={"REMOTE_ADDR": "10.9.8.7"}
    )

    assert (first.status_code, other.status_code) == (202, 202)


@pytest.mark.parametrize("key", ["", "x" * 256, "ü", "a\tb", "\x7f"])
def test_what_is_no_key_is_refused(client, redis, key):
    before = content(redis)

    response = client.post("/jobs", json=ADD, headers={"Idempotency-Key": key})

    assert is_problem(response, 400)
    assert "1 to 255 characters" in response.json["detail"]
    assert content(redis) == before


@pytest.mark.parametrize("key", ["x" * 255, "!", "a b", "#:/?{}"])
def test_all_that_is_printable_is_a_key(client, key):
    assert client.post("/jobs", json=ADD, headers={"Idempotency-Key": key}).status_code == 202


def test_a_refused_request_does_not_use_up_its_key(client):
    assert is_problem(client.post("/jobs", json={"type": "add"}, headers=KEY), 422)

    assert client.post("/jobs", json=ADD, headers=KEY).status_code == 202


def test_a_job_that_was_deleted_is_done_again(client, redis):
    first = client.post("/jobs", json=ADD, headers=KEY)
    redis.delete(keys.job(first.json["id"]))

    again = client.post("/jobs", json=ADD, headers=KEY)

    assert again.status_code == 202
    assert again.json["id"] != first.json["id"]


def test_the_routes_of_applications_heed_it(client):
    answers = [client.post("/shout/hi", headers=KEY) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [202, 200]
    assert is_problem(client.post("/shout/ho", headers=KEY), 409)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("203.0.113.1:5001", "203.0.113.2:5001"),
        ("[2001:db8:1::1]:443", "[2001:db8:2::1]:443"),
        ("[2001:db8:1::1]", "[2001:db8:2::1]"),
        ("_hidden-a", "_hidden-b"),
        ("unknown", ""),
        ("unknown", "127.0.0.1"),
        ("203.0.113.1, unknown", "203.0.113.2, unknown"),
    ],
)
def test_clients_of_one_proxy_share_no_key(redis, settings, one, other):
    client = create_app(settings(trusted_proxies="127.0.0.1")).test_client()
    answers = [
        client.post("/jobs", json=ADD, headers={**KEY, "X-Forwarded-For": forwarded})
        for forwarded in (one, other, one)
    ]

    assert [answer.status_code for answer in answers] == [202, 202, 200]
    assert answers[0].json["id"] == answers[2].json["id"] != answers[1].json["id"]


def test_a_client_is_known_again_by_its_next_connection(redis, settings):
    client = create_app(settings(trusted_proxies="127.0.0.1")).test_client()
    answers = [
        client.post("/jobs", json=ADD, headers={**KEY, "X-Forwarded-For": forwarded})
        for forwarded in ("203.0.113.1:5001", "203.0.113.1:5002", "203.0.113.1")
    ]

    assert [answer.status_code for answer in answers] == [202, 200, 200]


def test_twenty_equal_requests_at_once_make_one_job(redis, settings):
    app = create_app(settings())
    app.test_client().get("/buckets")
    with ThreadPoolExecutor(20) as pool:
        for turn in range(10):
            headers = {"Idempotency-Key": f"turn-{turn}"}
            answers = list(
                pool.map(
                    lambda _, headers=headers: app.test_client().post(
                        "/jobs", json=ADD, headers=headers
                    ),
                    range(20),
                )
            )
            assert sorted(answer.status_code for answer in answers) == [200] * 19 + [202]
            assert len({answer.json["id"] for answer in answers}) == 1
            redis.delete(keys.queue("default"))


def test_a_request_that_a_hanging_server_took_is_not_made_twice(settings):
    with own_server() as server:
        client = create_app(settings(redis_url=server.url)).test_client()
        client.post("/jobs", json=ADD)  # the script is loaded
        server.hang()
        assert is_problem(client.post("/jobs", json=ADD, headers=KEY), 503)
        server.go_on()
        answers = [client.post("/jobs", json=ADD, headers=KEY) for _ in range(3)]

        assert len({answer.json["id"] for answer in answers}) == 1
        with connect(server.url, timeout=5) as redis:
            assert redis.llen(keys.queue("default")) == 2


def test_a_job_that_too_few_replicas_have_is_503_and_stands(settings, redis):
    waiting = settings(wait_replicas=1, wait_seconds=0.05)
    client = create_app(waiting).test_client()
    body = {"type": "add", "payload": {"x": 1}}

    for _ in range(2):
        answer = client.post("/jobs", json=body, headers={"Idempotency-Key": "k"})
        assert answer.status_code == 503
        assert answer.json["type"] == "urn:spigot:problem:not-replicated"
        assert answer.headers["Retry-After"] == "2"
        assert redis.llen("rq:queue:default") == 1
