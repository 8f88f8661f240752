"""A stranger with a browser and curl: nothing to see, nothing to change."""

import re
from collections import Counter
from http import HTTPStatus
from itertools import islice

import pytest

from spigot import create_app
from spigot.webapp.door.rate_limits.refusal_counts import write_refusals
from tests.support.open_routes import OPEN
from tests.support.redis_content import content

ADMIN = ("admin", "secret")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
VARIABLE = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")
CLOSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}

SECRET = "a-strangers-business"
CLIENT = "192.0.2.77"


@pytest.fixture(params=["secret", None], ids=["with a password", "without one"])
def password(request):
    return request.param


@pytest.fixture
def app(redis, settings, password):
    chosen = settings(apps=("tests.support.outcome_app",), admin_password=password)
    app = create_app(chosen)
    yield app
    app.extensions["connection_loop"].close()


@pytest.fixture
def job_id(client):
    return client.post("/jobs", json={"type": "echo", "payload": {"text": SECRET}}).json["id"]


@pytest.fixture
def routes(app, job_id):
    """Method, rule and address of all that there is."""
    values = {
        "job_id": job_id, "name": "default", "filename": "pages.css", "instance_number": "0",
        "queue_name": "default", "registry_name": "queued", "per_page": "8", "order": "asc",
        "page": "1", "token": "A" * 22, "client": "192.0.2.1", "failure_id": "0" * 16,
    }  # fmt: skip
    return [
        (method, rule.rule, VARIABLE.sub(lambda found: values[found[1]], rule.rule))
        for rule in app.url_map.iter_rules()
        for method in METHODS
        if method in rule.methods
    ]


def test_what_is_open_is_what_the_documentation_says(client, routes, password):
    found = set()
    for method, rule, address in routes:
        with client.open(address, method=method, json={"type": "echo"}) as answer:
            closed = answer.status_code in CLOSED or (not password and answer.status_code == 404)
            found |= set() if closed else {(method, rule)}

    assert found == OPEN


@pytest.mark.parametrize("auth", [None, ("admin", "wrong"), ("admin", ""), ("root", "secret")])
def test_what_is_closed_changes_nothing(client, routes, redis, auth):
    before = content(redis)
    for method, rule, address in routes:
        if (method, rule) not in OPEN:
            assert client.open(address, method=method, json={"paused": True}, auth=auth).is_json

    assert content(redis) == before


def test_what_is_open_tells_nothing_of_others(client, routes, redis, job_id, password):
    write_refusals(redis, Counter({(CLIENT, "default"): 3}))
    for method, rule, address in routes:
        if method == "GET" and (method, rule) in OPEN and "<job_id>" not in rule:
            with client.get(address) as answer:
                endless = rule.endswith("/events")  # its first two parts: how it begins, the whole
                parts = islice(answer.iter_encoded(), 2) if endless else [answer.data]
                text = b"".join(parts).decode()
            for secret in (SECRET, CLIENT, job_id, password or "secret"):
                assert secret not in text, address


@pytest.mark.parametrize("password", ["secret"], indirect=True, ids=[""])
def test_every_page_is_kept_from_foreign_scripts_and_frames(client, routes, password):
    pages = set()
    for method, _, address in routes:
        if method == "GET" and not address.startswith("/static/"):
            with client.get(address, auth=ADMIN) as answer:
                if answer.mimetype != "text/html" or answer.status_code >= 300:
                    continue
            pages.add(address)
            assert "script-src 'self'" in answer.headers["Content-Security-Policy"], address
            assert answer.headers["X-Frame-Options"] == "DENY"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert {"/", "/docs", "/rq/", "/rq/0/view/jobs", "/rq/0/view/workers"} <= pages


def test_no_answer_is_taken_for_what_it_is_not(client, routes):
    for method, _, address in routes:
        with client.open(address, method=method, json={}) as answer:
            assert answer.headers["X-Content-Type-Options"] == "nosniff", address
