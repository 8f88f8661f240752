"""A page of another origin uses the API, in a real browser with real workers behind it."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.support.browser import chromium
from tests.support.fleet import Fleet
from tests.support.served import served

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(300),
]

RULES = {"few": {"limit": 1, "window": 3600, "match": "GET /buckets"}}

SUBMIT = """
const answer = await fetch(arguments[0] + "/jobs", {
  method: "POST",
  headers: {"Content-Type": "application/json", "Idempotency-Key": arguments[1]},
  body: JSON.stringify({type: "echo", payload: {text: "hello"}}),
});
return [answer.status, answer.headers.get("Location"), (await answer.json()).status];
"""

LISTEN = """
return await new Promise((resolve) => {
  const seen = [];
  const source = new EventSource(arguments[0]);
  source.addEventListener("status", (event) => {
    seen.push(JSON.parse(event.data).status);
    if (seen.at(-1) === "finished") { source.close(); resolve(seen); }
  });
});
"""

READ = """
const answer = await fetch(arguments[0], arguments[1]);
const told = await answer.json();
const names = ["RateLimit", "RateLimit-Policy", "Retry-After", "X-RateLimit-Remaining"];
return [answer.status, told.title, names.map((name) => answer.headers.get(name) !== null)];
"""

FAILS = """
try {
  await fetch(arguments[0], arguments[1]);
  return "no error";
} catch (error) { return error.name; }
"""


class Page(BaseHTTPRequestHandler):
    """An empty page, which may fetch from everywhere."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><link rel=icon href=data:,><title>Elsewhere</title>")

    def log_message(self, *_):
        """Keep the output of the tests short."""


@pytest.fixture(scope="module")
def elsewhere():
    """Port of a server that has the page; by two names, it is two origins."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    with served(server):
        yield server.server_port


@pytest.fixture(scope="module")
def fleet(redis_url, elsewhere, tmp_path_factory):
    settings = {"SPIGOT_CORS_ORIGINS": f"http://127.0.0.1:{elsewhere}"}
    fleet = Fleet(redis_url, tmp_path_factory.mktemp("cross"), settings=settings)
    (fleet.folder / "rate_limits.json").write_text(json.dumps(RULES))
    return fleet


@pytest.fixture(scope="module")
def api(fleet):
    with fleet.web() as web:
        yield f"http://{web.host}:{web.port}"


@pytest.fixture(scope="module")
def window(api, elsewhere, tmp_path_factory):
    with chromium(f"http://127.0.0.1:{elsewhere}", tmp_path_factory.mktemp("chromium")) as window:
        window.driver.set_script_timeout(60)
        yield window


@pytest.fixture
def page(window, redis):
    window.open("/")
    return window


def test_it_sends_a_job_and_follows_it(page, api, fleet):
    status, location, state = page.run(SUBMIT, api, "key-1")
    again, same, _ = page.run(SUBMIT, api, "key-1")
    with fleet.workers():
        seen = page.run(LISTEN, f"{api}{location}/events")

    assert (status, again, state) == (202, 200, "queued")
    assert location == same
    assert seen[0] == "queued"
    assert seen[-1] == "finished"


def test_it_waits_for_a_job(page, api):
    _, location, _ = page.run(SUBMIT, api, "key-2")

    assert page.run(READ, f"{api}{location}?wait=0.2", {})[0] == 200


def test_it_reads_how_it_stands_with_the_limits(page, api):
    first, second = (page.run(READ, f"{api}/buckets", {}) for _ in range(2))

    assert first == [200, None, [True, True, False, True]]
    assert second == [429, "Too Many Requests", [True, True, True, True]]


@pytest.mark.parametrize(
    ("path", "options", "status"),
    [
        ("/nowhere", {}, 404),
        ("/nowhere", {"method": "DELETE"}, 404),
        ("/jobs/none/events", {}, 404),
        ("/jobs", {"method": "POST", "body": "x"}, 415),
        ("/jobs", {"method": "POST", "body": "x" * 300_000,
                   "headers": {"Content-Type": "application/json"}}, 413),
    ],
)  # fmt: skip
def test_it_reads_every_refusal(page, api, path, options, status):
    assert page.run(READ, api + path, options)[0] == status


def test_the_browser_s_own_credentials_stay_at_home(page, api):
    assert page.run(FAILS, f"{api}/api/status", {"credentials": "include"}) == "TypeError"
    assert page.run(FAILS, f"{api}/api/status", {"headers": {"Authorization": "Basic x"}}) == (
        "TypeError"
    )
    assert page.run(FAILS, f"{api}/api/status", {}) == "no error"


def test_a_page_of_another_origin_reads_nothing(window, api, elsewhere, redis):
    window.driver.get(f"http://localhost:{elsewhere}/")

    for options in ({}, {"method": "POST", "headers": {"Content-Type": "application/json"}}):
        assert window.run(FAILS, f"{api}/jobs", options) == "TypeError"
    assert redis.keys("rq:job:*") == []
