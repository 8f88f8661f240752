import re
from hashlib import sha256

import pytest
from redis.exceptions import ConnectionError as AwayError

from spigot import create_app
from spigot.webapp.http.sessions import Sessions
from tests.support.problem_check import is_problem

COOKIE = f"spigot_session_{sha256(b'localhost').hexdigest()[:8]}"
HTML = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
def app(redis, shared_app):
    return shared_app(redis, admin_password="secret")


@pytest.fixture
def sessions(redis):
    return Sessions(redis, "secret")


def log_in(client, sessions, **options):
    return client.post("/open", data={"token": sessions.make_link()}, **options)


def test_the_link_shows_a_page_whose_form_logs_in(client, sessions):
    page = client.get(f"/open/{sessions.make_link()}", headers=HTML)
    assert (page.status_code, page.headers["Cache-Control"]) == (200, "no-store")
    assert page.headers["Referrer-Policy"] == "no-referrer"
    (action,) = re.findall('form method="post" action="([^"]+)"', page.text)
    fields = dict(re.findall('name="([^"]+)" value="([^"]+)"', page.text))
    assert client.get_cookie(COOKIE) is None

    answer = client.post(action, data=fields)

    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get("/api/activity").status_code == 200
    assert 'data-rows="running"' in client.get("/").text


@pytest.mark.parametrize("method", ["get", "head", "options"])
def test_previews_spend_nothing(client, sessions, method):
    link = sessions.make_link()

    getattr(client, method)(f"/open/{link}")

    assert sessions.is_link(link)


def test_a_spent_link_shows_that_it_is(client, sessions):
    link = sessions.make_link()
    client.post("/open", data={"token": link})

    for answer in (
        client.get(f"/open/{link}", headers=HTML),
        client.post("/open", data={"token": link}, headers=HTML),
    ):
        assert (answer.status_code, answer.mimetype) == (403, "text/html")
        assert "spigot open" in answer.text
        assert 'href="/admin">Log in</a>' in answer.text
        assert "Set-Cookie" not in answer.headers
    assert is_problem(client.get(f"/open/{link}"), 403)


@pytest.mark.parametrize("data", [{}, {"token": ""}, {"token": "x" * 300_000}, {"other": "x"}])
def test_a_post_without_a_link_gets_no_session(client, data):
    answer = client.post("/open", data=data)

    assert answer.status_code in (403, 413)
    assert "Set-Cookie" not in answer.headers


def test_it_leads_to_the_live_page_whatever_is_asked(client, sessions):
    data = {"token": sessions.make_link(), "next": "//evil.example", "url": "//evil.example"}

    answer = client.post("/open?next=//evil.example", data=data)

    assert answer.location == "/"


def test_the_cookie_is_kept_from_scripts_and_other_sites(client, sessions):
    cookie = log_in(client, sessions).headers["Set-Cookie"]

    assert re.fullmatch(
        rf"{COOKIE}=[\w-]{{22}}; Expires=[^;]+; Max-Age=43200; HttpOnly; Path=/; SameSite=Lax",
        cookie,
    )


def test_behind_https_the_cookie_is_secure_and_below_a_prefix_it_stays_there(
    redis, settings, sessions
):
    app = create_app(settings(admin_password="secret", trusted_proxies="127.0.0.1/32"))
    headers = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Prefix": "/spigot",
    }

    answer = log_in(app.test_client(), sessions, headers=headers)

    assert "; Secure;" in answer.headers["Set-Cookie"]
    assert "; Path=/spigot;" in answer.headers["Set-Cookie"]
    assert answer.location == "/spigot/"


def test_two_on_one_host_name_do_not_log_each_other_out(app, redis, settings, sessions):
    others = create_app(settings(admin_password="others"))
    browser, ports = app.test_client(), ("http://localhost:8000", "http://localhost:8001")
    log_in(browser, sessions, base_url=ports[0])
    cookies = browser._cookies  # one jar: a browser keeps cookies by host and not by port
    other = others.test_client()
    other._cookies = cookies
    log_in(other, Sessions(redis, "others"), base_url=ports[1])
    assert browser.get("/api/activity", base_url=ports[0]).status_code == 200
    assert other.get("/api/activity", base_url=ports[1]).status_code == 200

    other.post("/logout", base_url=ports[1])

    assert browser.get("/api/activity", base_url=ports[0]).status_code == 200
    assert other.get("/api/activity", base_url=ports[1]).status_code == 401


def test_logging_out_ends_the_session_for_good(client, sessions):
    log_in(client, sessions)
    token = client.get_cookie(COOKIE).value
    assert 'action="/logout"' in client.get("/").text

    answer = client.post("/logout")

    assert (answer.status_code, answer.location) == (303, "/")
    assert client.get_cookie(COOKIE) is None
    assert not sessions.is_session(token)
    client.set_cookie(COOKIE, token)
    assert is_problem(client.get("/api/activity"), 401)
    assert is_problem(client.post("/logout"), 403)


def test_who_is_no_admin_by_a_session_cannot_log_out(client):
    assert is_problem(client.post("/logout"), 403)
    assert is_problem(client.post("/logout", auth=("admin", "secret")), 403)
    assert "/logout" not in client.get("/", auth=("admin", "secret")).text


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://localhost:9000"},
        {"Origin": "null"},
    ],
)
def test_a_page_of_another_site_changes_nothing(client, sessions, headers):
    log_in(client, sessions)

    assert is_problem(client.patch("/buckets/default", json={"paused": True}, headers=headers), 403)
    assert is_problem(client.post("/logout", headers=headers), 403)
    assert client.get("/buckets/default").json["paused"] is False
    basic = {"headers": headers, "auth": ("admin", "secret")}
    assert is_problem(client.patch("/buckets/default", json={"paused": True}, **basic), 403)


@pytest.mark.parametrize("headers", [{}, {"Sec-Fetch-Site": "same-origin"}])
def test_a_session_may_what_the_password_may(client, sessions, headers):
    log_in(client, sessions)

    answer = client.patch("/buckets/default", json={"paused": True}, headers=headers)

    assert (answer.status_code, answer.json["paused"]) == (200, True)
    assert client.get("/rq/").status_code == 200


def test_another_password_ends_the_session(client, sessions, settings):
    log_in(client, sessions)
    other = create_app(settings(admin_password="another")).test_client()
    other.set_cookie(COOKIE, client.get_cookie(COOKIE).value)

    assert is_problem(other.get("/api/activity"), 401)


def test_without_a_password_there_are_no_links(settings, sessions):
    client = create_app(settings()).test_client()

    assert is_problem(client.get(f"/open/{sessions.make_link()}"), 404)
    assert is_problem(log_in(client, sessions), 404)
    assert is_problem(client.post("/logout"), 404)


def test_while_the_server_is_away_a_session_is_unknown_and_pages_go_on(
    app, client, sessions, monkeypatch
):
    log_in(client, sessions)

    def away(*args):
        raise AwayError("gone")

    monkeypatch.setattr(Sessions, "is_session", away)

    assert is_problem(client.get("/api/activity"), 503)
    assert client.get("/").status_code == 200
    assert client.get("/admin", auth=("admin", "secret")).status_code == 303
