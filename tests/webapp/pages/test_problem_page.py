"""Whoever opens an address that cannot be served reads a page, and programs the document."""

import re

import pytest
from flask import Response, abort

from spigot import create_app
from tests.support.problem_check import is_problem

ADMIN = ("admin", "secret")
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
PROGRAMS = [{}, {"Accept": "*/*"}, {"Accept": "application/json"}]
FORM = "application/x-www-form-urlencoded"
VARIABLE = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")
VALUES = {
    "job_id": "nobody", "name": "nowhere", "filename": "none.css", "instance_number": "0",
    "queue_name": "default", "registry_name": "queued", "per_page": "8", "order": "asc",
    "page": "1", "token": "A" * 22, "client": "192.0.2.1", "failure_id": "0" * 16,
    "text": "hi",
}  # fmt: skip
NOT_FOR_PAGES = {"/open/<token>"}
"""It has had a page of its own all along."""


@pytest.fixture
def app(redis, shared_app):
    return shared_app(redis, admin_password="secret")


@pytest.fixture
def broken(settings):
    """Return a client of an app whose server is gone."""
    own = settings(redis_url="unix:///nobody/redis.sock", admin_password="secret")
    return create_app(own).test_client()


def addresses(app):
    """Yield the rule and one address of all that can be opened, and one that there is not."""
    yield "", "/nowhere/at/all"
    for rule in app.url_map.iter_rules():
        if "GET" in rule.methods and rule.rule not in NOT_FOR_PAGES:
            yield rule.rule, VARIABLE.sub(lambda found: VALUES[found[1]], rule.rule)


def forms(app):
    """Yield one address of all that take what a button sends."""
    for rule in app.url_map.iter_rules():
        if "POST" in rule.methods and rule.rule != "/open":
            yield VARIABLE.sub(lambda found: VALUES[found[1]], rule.rule)


def is_page(answer):
    assert answer.mimetype == "text/html", answer.text
    assert "<h1>" in answer.text
    assert 'class="brand"' in answer.text
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["Cache-Control"] == "no-store"
    assert "Accept" in answer.headers["Vary"]
    assert 'href="/"' in answer.text
    return True


@pytest.mark.parametrize("auth", [None, ADMIN], ids=["a stranger", "the admin"])
@pytest.mark.parametrize("state", ["well", "away"])
def test_a_browser_reads_a_page_wherever_a_program_reads_a_problem(
    app, client, broken, state, auth
):
    asked, seen = (client if state == "well" else broken), set()
    for rule, address in addresses(app):
        with asked.get(address, auth=auth) as told:
            if told.mimetype != "application/problem+json":
                continue
        with asked.get(address, auth=auth, headers=BROWSER) as page:
            assert page.status_code == told.status_code, address
            assert is_page(page), address
            assert page.headers.get("Retry-After") == told.headers.get("Retry-After")
            assert page.headers.get("WWW-Authenticate") == told.headers.get("WWW-Authenticate")
        seen.add(rule)
    assert {"", "/jobs/<job_id>", "/buckets/<name>"} <= seen
    assert auth or {"/rq/", "/jobs", "/failures", "/clients", "/admin"} <= seen


@pytest.mark.parametrize("accept", PROGRAMS, ids=["nothing", "curl", "json"])
def test_a_program_reads_the_document(client, broken, accept):
    assert is_problem(client.get("/nowhere", headers=accept), 404)
    assert is_problem(client.get("/rq/", headers=accept), 401)
    assert is_problem(client.get("/jobs?status=odd", auth=ADMIN, headers=accept), 400)
    assert is_problem(client.post("/api/status", headers=accept), 405)
    assert is_problem(broken.get("/rq/0/view/jobs", auth=ADMIN, headers=accept), 503)


def test_a_cache_is_told_that_people_read_something_else(client):
    for answer in (client.get("/nowhere"), client.get("/nowhere", headers=BROWSER)):
        assert "Accept" in answer.vary


def test_a_program_that_sends_json_reads_the_document_whatever_it_accepts(client):
    sent = client.post("/jobs", json={"type": "nothing"}, headers=BROWSER)

    assert is_problem(sent, 422)


@pytest.mark.parametrize("state", ["well", "away"])
def test_a_button_that_does_nothing_leads_to_a_page(app, client, broken, state):
    asked, seen = (client if state == "well" else broken), 0
    for address in forms(app):
        told = asked.post(address, content_type=FORM, auth=ADMIN)
        if told.mimetype != "application/problem+json":
            continue
        page = asked.post(address, content_type=FORM, auth=ADMIN, headers=BROWSER)
        assert page.status_code == told.status_code, address
        assert is_page(page), address
        seen += 1
    assert seen > 5


def heading(page):
    return re.search(r"<h1>(.*?)</h1>", page.text, re.DOTALL)[1]


def ways(page):
    return re.findall(r'<a class="button[^"]*" href="([^"]*)">(.*?)</a>', page.text)


class TestWhatItSays:
    def test_a_wrong_filter_and_the_way_back_to_all_jobs(self, client):
        page = client.get("/jobs?status=odd", auth=ADMIN, headers=BROWSER)

        assert "There is no status &#39;odd&#39;; known: queued" in page.text
        assert ways(page) == [("/jobs", "To all jobs"), ("/", "To the overview")]

    def test_that_an_address_leads_nowhere(self, client):
        page = client.get("/<b>nowhere</b>", headers=BROWSER)

        assert heading(page) == "There is no page here"
        assert "<code>/&lt;b&gt;nowhere&lt;/b&gt;</code>" in page.text
        assert "SPIGOT_ADMIN_PASSWORD" not in page.text

    def test_that_there_is_no_admin_where_nobody_can_log_in(self, redis, shared_app):
        page = shared_app(redis).test_client().get("/failures", headers=BROWSER)

        assert page.status_code == 404
        assert "<code>SPIGOT_ADMIN_PASSWORD</code> is not set" in page.text

    def test_how_to_log_in(self, client):
        page = client.get("/rq/0/view/jobs", headers=BROWSER)

        assert heading(page) == "This is for the admin"
        assert "spigot open" in page.text
        assert ways(page)[0] == ("", "Log in")

    def test_when_to_come_back(self, redis, settings, tmp_path):
        rules = tmp_path / "narrow.json"
        rules.write_text('{"default": {"limit": 1, "window": 60}}')
        client = create_app(settings(rate_limits=rules)).test_client()
        assert client.get("/", headers=BROWSER).status_code == 200

        page = client.get("/", headers=BROWSER)

        assert page.status_code == 429
        assert is_page(page)
        assert heading(page) == "Too many requests"
        assert f"come back in {page.headers['Retry-After']} s" in page.text
        assert "default" in page.headers["RateLimit-Policy"]
        assert ways(page)[0] == ("", "Load again")

    def test_that_the_log_knows_more(self, client):
        page = client.get("/broken", headers=BROWSER)

        assert page.status_code == 500
        assert "s3cret" not in page.text
        assert page.headers["X-Request-ID"] in page.text

    def test_that_a_button_did_nothing_and_the_way_back(self, client):
        told = client.post("/buckets/default/form", data={"action": "purge"}, auth=ADMIN)
        assert is_problem(told, 403)

        page = client.post(
            "/buckets/default/form", data={"action": "purge"}, auth=ADMIN, headers=BROWSER
        )

        assert heading(page) == "Nothing was done"
        assert "This form was made for another session: load the page again." in page.text
        assert ways(page)[0] == ("/buckets/default", "To the bucket default")

    def test_that_too_much_was_sent(self, redis, settings):
        client = create_app(settings(max_body_bytes=100)).test_client()

        page = client.post("/docs/jobs", data={"field.x": "x" * 200}, headers=BROWSER)

        assert page.status_code == 413
        assert heading(page) == "Nothing was done"
        assert re.search(r"<p>The data .*\.</p>", page.text)
        assert ways(page)[0] == ("/docs#job-types", "To the forms")

    def test_that_a_button_may_have_worked_while_the_server_is_away(self, broken):
        page = broken.post("/jobs/nobody/cancel", content_type=FORM, headers=BROWSER)

        assert page.status_code == 503
        assert "Whether it was done is not known" in page.text

    def test_that_what_was_typed_is_no_id(self, client):
        page = client.get("/find?id=order 5!", headers=BROWSER)

        assert (page.status_code, heading(page)) == (404, "There is no such job")
        assert "There is no job &#39;order 5!&#39;" in page.text

    def test_what_an_application_says_of_its_own_address(self, redis, own_app):
        own_app.add_url_rule("/orders/5", "order", lambda: abort(404, "order 5 was never placed"))

        page = own_app.test_client().get("/orders/5", headers=BROWSER)

        assert "Order 5 was never placed." in page.text

    def test_an_application_may_write_a_document_that_says_less(self, own_app):
        told = Response('{"title": "Gone"}', 410, content_type="application/problem+json")
        own_app.add_url_rule("/orders/5", "order", lambda: told)

        page = own_app.test_client().get("/orders/5", headers=BROWSER)

        assert (page.status_code, heading(page)) == (410, "This cannot be shown now")
        assert is_page(page)

    def test_how_to_log_in_to_an_application_as_it_says_itself(self, own_app):
        own_app.add_url_rule("/orders", "orders", lambda: abort(401, "log in to the shop"))

        page = own_app.test_client().get("/orders", headers=BROWSER)

        assert (page.status_code, heading(page)) == (401, "Log in first")
        assert "<p>Log in to the shop.</p>" in page.text
        assert ways(page)[0] == ("", "Load again")
        assert "admin" not in page.text

    def test_an_address_that_names_another_site_is_no_link(self, client):
        page = client.get("//evil.example/", headers=BROWSER)

        assert "evil.example" not in "".join(url for url, _ in ways(page))


def test_where_the_login_of_an_application_fails_the_document_keeps_its_headers(redis, settings):
    app = create_app(settings(), is_admin=lambda request: request.no_such_thing)

    answer = app.test_client().get("/nowhere", headers=BROWSER)

    assert is_problem(answer, 500)
    assert "the log of the web process says why" in answer.text
    assert answer.headers["X-Request-ID"]


def test_nothing_is_there_for_a_head(client):
    answer = client.head("/nowhere", headers=BROWSER)

    assert (answer.status_code, answer.mimetype, answer.data) == (404, "text/html", b"")
