"""What a page of another origin may do, as a browser would ask."""

import json

import pytest
from flask import Blueprint

from spigot import create_app

APP = "https://app.example"
ORIGIN = {"Origin": APP}
ADD = {"type": "add", "payload": {"x": 1, "y": 2}}
RULES = {
    "default": {"limit": 100, "window": 60, "key": "header:X-API-Key"},
    "few": {"limit": 1, "window": 60, "match": "GET /buckets"},
}
READABLE = {
    "location",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "x-ratelimit-limit",
    "x-ratelimit-remaining",
    "x-ratelimit-reset",
    "x-request-id",
}


@pytest.fixture
def app(redis, settings):
    made = settings(cors_origins=f"{APP},http://localhost:3000", max_body_bytes=1000)
    made.rate_limits.write_text(json.dumps(RULES))
    app = create_app(made)
    app.add_url_rule("/fails", "fails", lambda: 1 / 0)
    return app


def preflight(client, path="/jobs", method="POST", **headers):
    asked = {"Access-Control-Request-Method": method, **ORIGIN, **headers}
    return client.options(path, headers=asked)


def names(text):
    return {name.strip().lower() for name in text.split(",")}


def assert_readable(answer, origin=APP):
    assert answer.headers.getlist("Access-Control-Allow-Origin") == [origin]
    assert names(answer.headers["Access-Control-Expose-Headers"]) == READABLE
    assert "Origin" in answer.vary
    assert "Access-Control-Allow-Credentials" not in answer.headers


def cors_headers(answer):
    return [name for name, _ in answer.headers if name.startswith("Access-Control")]


def test_a_page_may_read_the_answer(client):
    answer = client.post("/jobs", json=ADD, headers=ORIGIN)

    assert answer.status_code == 202
    assert_readable(answer)
    assert_readable(
        client.get("/api/status", headers={"Origin": "http://localhost:3000"}),
        "http://localhost:3000",
    )


@pytest.mark.parametrize(
    ("status", "method", "path", "options"),
    [
        (400, "POST", "/jobs", {"data": b"{", "content_type": "application/json"}),
        (403, "PATCH", "/buckets/default", {}),
        (404, "GET", "/nowhere", {}),
        (404, "GET", "/jobs/none", {}),
        (405, "PUT", "/jobs", {}),
        (413, "POST", "/jobs", {"json": {"type": "add", "payload": {"x": "1" * 2000}}}),
        (415, "POST", "/jobs", {"data": b"x"}),
        (422, "POST", "/jobs", {"json": {"type": "nosuch"}}),
        (500, "GET", "/fails", {}),
    ],
)
def test_a_page_may_read_every_refusal(redis, settings, app, status, method, path, options):
    app.extensions["admin"].exists = True

    answer = app.test_client().open(path, method=method, headers=ORIGIN, **options)

    assert answer.status_code == status
    assert_readable(answer)


def test_a_page_may_read_that_it_is_refused_at_the_door(client):
    client.get("/buckets", headers=ORIGIN)
    answer = client.get("/buckets", headers=ORIGIN)

    assert answer.status_code == 429
    assert_readable(answer)
    assert {"Retry-After", "RateLimit", "X-RateLimit-Reset"} <= set(answer.headers.keys())


def test_a_page_may_read_that_the_bucket_is_full(client):
    for _ in range(3):
        client.post("/jobs", json=ADD)
    answer = client.post("/jobs", json=ADD, headers=ORIGIN)

    assert answer.status_code == 503
    assert_readable(answer)


def test_a_page_may_follow_a_job(client):
    location = client.post("/jobs", json=ADD).headers["Location"]
    client.delete(location)

    events = client.get(f"{location}/events", headers=ORIGIN)

    assert events.mimetype == "text/event-stream"
    assert_readable(events)


def test_a_preflight_allows_what_the_api_takes(client):
    for path in ("/jobs", "/jobs/none", "/nowhere", "/buckets/default"):
        answer = preflight(client, path)
        assert answer.status_code == 204
        assert answer.headers["Access-Control-Allow-Origin"] == APP
        assert names(answer.headers["Access-Control-Allow-Methods"]) == {
            "get", "head", "post", "put", "patch", "delete",
        }  # fmt: skip
        assert names(answer.headers["Access-Control-Allow-Headers"]) == {
            "content-type", "idempotency-key", "last-event-id", "x-request-id", "x-api-key",
        }  # fmt: skip
        assert answer.headers["Access-Control-Max-Age"] == "600"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.vary


@pytest.mark.parametrize(
    "origin",
    [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://sub.app.example",
        "https://app.example/",
        "null",
        "",
        f"{APP}, https://evil.example",
    ],
)
def test_other_origins_are_told_nothing(client, origin):
    answer = client.post("/jobs", json=ADD, headers={"Origin": origin})
    asked = preflight(client, Origin=origin)

    assert answer.status_code == 202
    assert cors_headers(answer) == cors_headers(asked) == []
    assert "Origin" in answer.vary
    assert "Origin" in asked.vary


def test_requests_without_an_origin_vary_too(client):
    answer = client.get("/api/status")

    assert cors_headers(answer) == []
    assert "Origin" in answer.vary


def test_it_is_off_unless_it_is_set(redis, settings):
    client = create_app(settings()).test_client()
    answer = client.post("/jobs", json=ADD, headers=ORIGIN)
    asked = preflight(client)

    assert cors_headers(answer) == cors_headers(asked) == []
    assert "Vary" not in answer.headers
    assert asked.status_code == 200


def test_preflights_are_free_unless_a_rule_names_them(redis, settings):
    made = settings(cors_origins=APP)
    made.rate_limits.write_text(json.dumps({"default": {"limit": 1, "window": 60}}))
    client = create_app(made).test_client()
    assert [preflight(client).status_code for _ in range(3)] == [204] * 3
    assert client.get("/buckets").status_code == 200

    made.rate_limits.write_text(
        json.dumps({"few": {"limit": 1, "window": 60, "match": "OPTIONS /jobs"}})
    )
    client = create_app(made).test_client()
    answers = [preflight(client) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [204, 429]
    assert_readable(answers[1])


def test_views_of_applications_may_say_it_themselves(app):
    blueprint = Blueprint("own", __name__)

    @blueprint.route("/own", methods=["OPTIONS", "GET"])
    def own():
        return "mine", {"Access-Control-Allow-Origin": "*"}

    app.register_blueprint(blueprint)
    client = app.test_client()

    assert preflight(client, "/own").text == "mine"
    answer = client.get("/own", headers=ORIGIN)
    assert answer.headers.getlist("Access-Control-Allow-Origin") == ["*"]
    assert "Access-Control-Expose-Headers" not in answer.headers
