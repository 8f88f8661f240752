"""What proxies say of scheme, host and prefix."""

from ipaddress import ip_network

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st

from spigot import create_app
from spigot.webapp.door import forwarding
from spigot.webapp.door.forwarding import is_host, is_prefix

ADD = {"type": "add", "payload": {"x": 1, "y": 2}}
ALL = {
    "X-Forwarded-For": "203.0.113.1",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "jobs.example",
    "X-Forwarded-Prefix": "/spigot",
}


@pytest.fixture
def app(redis, shared_app):
    return shared_app(redis, trusted_proxies="127.0.0.1", admin_password="secret")


@pytest.fixture
def bare_app():
    app = Flask(__name__)
    forwarding.init_app(app, map(ip_network, ("127.0.0.1", "10.0.0.0/8")))
    app.add_url_rule("/url", "url", lambda: request.root_url)
    app.add_url_rule("/folder/", "folder", lambda: "")
    return app


@pytest.fixture
def url(bare_app):
    """Return a function that tells under which address a request sees this server."""
    client = bare_app.test_client()

    def url(peer="127.0.0.1", **headers):
        sent = {f"X-Forwarded-{name.title()}": value for name, value in headers.items()}
        answer = client.get("/url", headers=sent, environ_base={"REMOTE_ADDR": peer})
        return answer.text

    return url


def test_a_trusted_proxy_is_believed(url):
    assert url(proto="https", host="jobs.example", prefix="/a/b") == "https://jobs.example/a/b/"
    assert url(proto="https") == "https://localhost/"
    assert url(host="jobs.example:8443") == "http://jobs.example:8443/"
    assert url(prefix="/spigot") == "http://localhost/spigot/"


@pytest.mark.parametrize("peer", ["203.0.113.1", "127.0.0.2", "", "unix:"])
def test_nobody_else_is(url, peer):
    told = url(peer, proto="https", host="evil.example", prefix="/evil")

    assert told == "http://localhost/"


@pytest.mark.parametrize("peer", ["127.0.0.1", "::ffff:127.0.0.1"])
@pytest.mark.parametrize("network", ["127.0.0.0/8", "::ffff:127.0.0.0/104"])
def test_a_proxy_may_be_named_and_seen_as_ipv6(redis, settings, peer, network):
    client = create_app(settings(trusted_proxies=network)).test_client()

    answer = client.post("/jobs", json=ADD, headers=ALL, environ_base={"REMOTE_ADDR": peer})

    assert answer.headers["Location"].startswith("/spigot/jobs/")


def test_without_trusted_proxies_nobody_is(redis, settings):
    app = create_app(settings())
    app.add_url_rule("/url", "url", lambda: request.root_url)

    assert app.test_client().get("/url", headers=ALL).text == "http://localhost/"


@pytest.mark.parametrize(
    ("forwarded_for", "proto", "scheme"),
    [
        ("203.0.113.1", "https", "https"),
        ("203.0.113.1", "https,http", "http"),  # the left one may be the client's
        ("203.0.113.1", "http, https", "https"),
        ("203.0.113.1, 10.0.0.1", "https, http", "https"),  # two proxies, each of which appends
        ("203.0.113.1, 10.0.0.1", "http, https, http", "https"),
        ("203.0.113.1, 10.0.0.1", "https", "https"),  # the outer one says it, the inner one passes
        ("10.0.0.2, 10.0.0.1", "https, http, http", "https"),
        ("", "https", "https"),
        ("unknown", "https", "https"),
        ("203.0.113.1", "https,", "http"),
        ("203.0.113.1", "https,evil", "http"),
    ],
)
def test_of_several_values_the_outermost_proxy_of_ours_counts(url, forwarded_for, proto, scheme):
    assert url(**{"for": forwarded_for, "proto": proto}) == f"{scheme}://localhost/"


@pytest.mark.parametrize(
    "proto",
    ["", " ", "HTTPS", "ftp", "https:", "https://", "javascript", "wss", "http s", '"https"'],
)
def test_another_scheme_is_ignored(url, proto):
    assert url(proto=proto) == "http://localhost/"


@pytest.mark.parametrize(
    "prefix",
    [
        "",
        "/",
        "//",
        "spigot",
        "/spigot/",
        "//evil.example",
        "/a//b",
        "/..",
        "/../x",
        "/a/../b",
        "/a/..",
        "/.",
        "/./a",
        "/a/.",
        "/a b",
        "/a%2fb",
        "/%2e%2e",
        "/a?b",
        "/a#b",
        "/a\\b",
        "/\\evil.example",
        "/ä",
        "/<script>",
        '/"',
        "/a;b",
        "https://evil.example/a",
        "/" + "a" * 300,
        "/a, //evil.example",
    ],
)
def test_what_is_no_prefix_is_ignored(url, prefix):
    assert not is_prefix(prefix)
    assert url(prefix=prefix.encode().decode("latin-1")) == "http://localhost/"


@pytest.mark.parametrize(
    "prefix", ["/a", "/a/b", "/~me", "/v1.2", "/...", "/.well-known", "/a_b-c"]
)
def test_a_prefix(url, prefix):
    assert url(prefix=prefix) == f"http://localhost{prefix}/"


@pytest.mark.parametrize(
    "host",
    [
        "jobs.example",
        "jobs.example:8443",
        "localhost:1",
        "a_b",
        "xn--lden-loa.example",
        "192.0.2.1:80",
        "[2001:db8::1]",
        "[2001:db8::1]:8443",
        "jobs.example.",
    ],
)
def test_a_host(host):
    assert is_host(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "a b",
        "a/b",
        "a?b",
        "a#b",
        "user@evil.example",
        "evil.example/path",
        "http://evil.example",
        "a..b",
        ".a",
        "-a",
        "a:",
        "a:0",
        "a:65536",
        "a:b",
        "a:80:80",
        "2001:db8::1",
        "[2001:db8::1",
        "[evil]",
        "[]",
        "läden.example",
        "a\\b",
        "a%00",
        "a" * 300,
        "<script>",
        'a"',
    ],
)
def test_what_is_no_host_is_ignored(url, host):
    assert not is_host(host)
    assert url(host=host.encode().decode("latin-1")) == "http://localhost/"


LINE_BREAKS = ["{}\r\nSet-Cookie: a=b", "{}\n", "\n{}", "{}\r", "{}\x0b", "{}\x00", "{}\u2028"]


@pytest.mark.parametrize("broken", LINE_BREAKS)
def test_no_header_breaks_a_line(bare_app, broken):
    environ = {
        "HTTP_X_FORWARDED_PROTO": broken.format("https"),
        "HTTP_X_FORWARDED_HOST": broken.format("evil.example"),
        "HTTP_X_FORWARDED_PREFIX": broken.format("/evil"),
    }
    answer = bare_app.test_client().get("/url", environ_overrides=environ)

    assert answer.text == "http://localhost/"


@given(st.text(max_size=20))
def test_a_prefix_never_leads_outside(text):
    if is_prefix(text):
        assert text.isascii()
        assert text.startswith("/")
        assert not {"", ".", ".."} & set(text[1:].split("/"))


@pytest.mark.parametrize("path", ["/folder", "//folder", "///folder", "/folder//"])
@pytest.mark.parametrize("host", ["evil.example", "EVIL.example:8080", "[2001:db8::1]"])
def test_redirects_name_no_host(bare_app, path, host):
    client = bare_app.test_client()
    place = {"environ_overrides": {"PATH_INFO": path}, "headers": {"Host": host}}

    answer = client.get("/?a=//b", **place)

    assert answer.status_code == 308
    assert answer.headers["Location"] == "/folder/?a=//b"
    below = client.get("/", **{**place, "headers": {**ALL, "Host": host}})
    assert below.headers["Location"] == "/spigot/folder/"


def test_a_redirect_to_the_live_page_stays_below_the_prefix(client):
    answer = client.get("/admin", headers=ALL, auth=("admin", "secret"))
    assert answer.headers["Location"] == "/spigot/"


@pytest.mark.parametrize("location", ["https://elsewhere.example/a", "http://localhost.evil/", "a"])
def test_other_redirects_are_left_alone(bare_app, location):
    bare_app.add_url_rule("/away", "away", lambda: ("", 302, {"Location": location}))

    assert bare_app.test_client().get("/away").headers["Location"] == location


@pytest.mark.parametrize("rest", ["//evil.example", "/\\evil.example", "\\\\evil.example"])
def test_a_redirect_that_was_made_relative_leads_to_no_other_host(bare_app, rest):
    place = {"Location": f"http://localhost/{rest}"}
    bare_app.add_url_rule("/away", "away", lambda: ("", 302, place))

    assert bare_app.test_client().get("/away").headers["Location"] == "/evil.example"


def test_a_job_is_found_below_the_prefix(client):
    answer = client.post("/jobs", json=ADD, headers=ALL)

    assert answer.headers["Location"] == f"/spigot/jobs/{answer.json['id']}"
    assert client.get(f"/jobs/{answer.json['id']}", headers=ALL).status_code == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_pages_link_nothing_outside_of_the_prefix(client, path):
    text = client.get(path, headers=ALL, auth=("admin", "secret")).text

    addresses = [
        part.partition('"')[0] for part in text.replace("src=", "href=").split('href="')[1:]
    ]
    inside = [each for each in addresses if not each.startswith("#")]
    assert inside
    assert [each for each in inside if not each.startswith("/spigot/")] == []


def test_the_documentation_says_where_the_api_is(client):
    assert client.get("/openapi.json", headers=ALL).json["servers"] == [{"url": "/spigot"}]
    assert client.get("/openapi.json").json["servers"] == [{"url": "/"}]
    assert "curl -i https://jobs.example/spigot/jobs" in client.get("/docs", headers=ALL).text
