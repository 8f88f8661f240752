"""The shipped configurations of nginx, in front of the API with real workers behind it."""

import json
from contextlib import closing
from http.client import HTTPConnection

import pytest

from tests.support.browser import chromium
from tests.support.fleet import Fleet
from tests.support.nginx import nginx

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

PLACES = {"spigot.conf": "", "spigot-below-a-prefix.conf": "/spigot"}
LIES = {
    "X-Forwarded-For": "198.51.100.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Prefix": "/evil",
    "Forwarded": "for=198.51.100.7;proto=https;host=evil.example",
}
RULES = {"few": {"limit": 2, "window": 3600, "match": "GET /buckets"}}


@pytest.fixture(scope="module")
def fleet(redis_url, tmp_path_factory):
    settings = {"SPIGOT_ADMIN_PASSWORD": "secret", "SPIGOT_TRUSTED_PROXIES": "127.0.0.1"}
    fleet = Fleet(redis_url, tmp_path_factory.mktemp("nginx"), settings=settings)
    (fleet.folder / "rate_limits.json").write_text(json.dumps(RULES))
    return fleet


@pytest.fixture(scope="module")
def web(fleet):
    with fleet.web() as web:
        yield web


@pytest.fixture(scope="module", params=PLACES)
def place(request, web, tmp_path_factory):
    """Port of nginx, and the prefix under which it serves Spigot."""
    with nginx(request.param, web.port, tmp_path_factory.mktemp("conf")) as port:
        yield port, PLACES[request.param]


@pytest.fixture
def ask(place, redis):
    port, _ = place

    def ask(method, path, body=None, headers=None):
        with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            sent = {"Content-Type": "application/json", **(headers or {})}
            connection.request(method, path, body and json.dumps(body), sent)
            answer = connection.getresponse()
            return answer, answer.read().decode()

    return ask


def submit(ask, prefix, type="echo", headers=None, **payload):
    answer, text = ask("POST", f"{prefix}/jobs", {"type": type, "payload": payload}, headers)
    assert answer.status == 202, text
    return answer.headers["Location"]


def test_what_a_client_says_of_itself_goes_no_further(ask, place):
    port, prefix = place

    location = submit(ask, prefix, text="x", headers=LIES)
    _, text = ask("GET", f"{prefix}/docs", headers=LIES)
    statuses = [
        ask("GET", f"{prefix}/buckets", headers={**LIES, "X-Forwarded-For": f"198.51.100.{n}"})
        for n in range(3)
    ]

    assert location.startswith(f"{prefix}/jobs/")
    assert f"curl -i http://127.0.0.1:{port}{prefix}/jobs" in text
    assert "evil" not in text
    assert [answer.status for answer, _ in statuses] == [200, 200, 429]


def test_one_header_in_several_lines_is_one_list(web, redis):
    statuses = []
    for number in range(3):
        with closing(HTTPConnection(web.host, web.port, timeout=60)) as connection:
            connection.putrequest("GET", "/buckets")
            connection.putheader("X-Forwarded-For", f"198.51.100.{number}")
            connection.putheader("X-Forwarded-For", "203.0.113.9:5001, [::ffff:127.0.0.1]:80")
            connection.endheaders()
            statuses.append(connection.getresponse().status)

    assert statuses == [200, 200, 429]


def test_a_job_is_followed_to_its_end(ask, place, fleet):
    _, prefix = place
    location = submit(ask, prefix, text="x")

    with fleet.workers():
        answer, events = ask("GET", f"{location}/events")
        _, job = ask("GET", f"{location}?wait=30")

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert '"status": "finished"' in events
    assert json.loads(job)["status"] == "finished"


def test_redirects_stay_relative(ask, place):
    _, prefix = place
    admin = {"Authorization": "Basic YWRtaW46c2VjcmV0"}

    for headers in ({}, LIES, {"Host": "evil.example"}):
        answer, _ = ask("GET", f"{prefix}/rq", headers={**headers, **admin})
        assert (answer.status, answer.headers["Location"]) == (308, f"{prefix}/rq/")
        answer, _ = ask("GET", f"{prefix}/admin", headers={**headers, **admin})
        assert (answer.status, answer.headers["Location"]) == (303, f"{prefix}/")
    if prefix:
        answer, _ = ask("GET", prefix)
        assert (answer.status, answer.headers["Location"]) == (308, f"{prefix}/")


def test_the_program_s_description_names_the_prefix(ask, place):
    _, prefix = place

    _, text = ask("GET", f"{prefix}/openapi.json")

    assert json.loads(text)["servers"] == [{"url": prefix or "/"}]


def test_a_browser_sees_all_pages(ask, place, tmp_path):
    port, prefix = place
    job_id = submit(ask, prefix, text="x").rpartition("/")[2]
    with chromium(f"http://127.0.0.1:{port}", tmp_path) as browser:
        browser.log_in(f"{prefix}/admin")
        browser.wait_for_text("live,")
        browser.wait_for_text("default", "#cards")
        for selector in ("a.brand", "nav a"):
            assert all(path.startswith(f"{prefix}/") for path in browser.paths(selector))

        browser.open(f"{prefix}/docs")
        browser.wait_for_text("The API", "h1")
        browser.open(f"{prefix}/rq/")
        browser.wait_for_text("default", "#queues")
        browser.open(f"{prefix}/rq/0/view/jobs/default/queued/8/asc/1")
        browser.wait_for_text(job_id, "#jobs")
        assert f"{prefix}/rq/0/view/job/{job_id}" in browser.paths("#jobs a")
        browser.click("[data-role=delete-job-btn]")
        browser.click("#confirmation-modal.show #confirmation-modal-yes")
        browser.wait_for_text("No jobs.", "#jobs")

        assert browser.complaints() == []
