"""Ways of writing a request that should lead around a rate limit, or around the password."""

from http.client import HTTPConnection

import pytest

from .raw_http import JOB, POST, statuses

pytestmark = pytest.mark.slow
LIMITED = True

SPELLINGS = [
    "/jobs", "//jobs", "///jobs", "/./jobs", "/x/../jobs", "/jobs/", "/jobs//", "/jobs/.",
    "/%6aobs", "/%6Aobs", "/jobs%2f", "/jobs%2F", "%2fjobs", "/%2e/jobs", "/jobs%00", "/jobs%20",
    "/jobs%0d%0a", "/jobs;x=1", "/jobs;", "/JOBS", "/Jobs", "/jobs?", "/jobs?x=/livez", "/jobs#x",
    "/jobs\\", "/\\jobs", "http://x/jobs", "http://other/jobs", "HTTP://x//jobs", "/jobs\xe9",
    "jobs", "*", "/livez/../jobs", "/static/../jobs",
]  # fmt: skip
METHODS = [
    "POST",
    "post",
    "PUT",
    "PATCH",
    "DELETE",
    "GET",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "X",
]
HEADERS = {
    "override": "X-HTTP-Method-Override: POST",
    "override, short": "X-HTTP-Method: POST",
    "original URL": "X-Original-URL: /jobs",
    "rewritten URL": "X-Rewrite-URL: /jobs",
    "forwarded for": "X-Forwarded-For: 203.0.113.9",
    "forwarded": "Forwarded: for=203.0.113.9",
    "real address": "X-Real-IP: 203.0.113.9",
    "client address": "True-Client-IP: 203.0.113.9",
    "prefix": "X-Forwarded-Prefix: /x",
    "host": "X-Forwarded-Host: other",
}


def request(method, path, *headers):
    head = [f"{method} {path} HTTP/1.1", "Host: x", "Content-Type: application/json", *headers]
    head += [f"Content-Length: {len(JOB)}", "Connection: close", "", ""]
    return "\r\n".join(head).encode("latin-1") + JOB


@pytest.fixture(scope="module")
def spent(target):
    """A web at which this client's one job is taken in."""
    assert statuses(target.address, POST) == [202]
    assert statuses(target.address, POST) == [429]
    assert target.jobs() == 1
    return target


@pytest.mark.parametrize("method", METHODS)
def test_no_spelling_of_the_path_leads_around_a_rule(spent, method):
    for path in SPELLINGS:
        answers = statuses(spent.address, request(method, path))

        assert all(status < 500 for status in answers), (path, answers)
        assert spent.jobs() == 1, path


@pytest.mark.parametrize("header", HEADERS.values(), ids=HEADERS)
@pytest.mark.parametrize("path", ["/jobs", "/livez", "/"])
def test_no_header_leads_around_a_rule(spent, header, path):
    for method in ("POST", "GET", "PUT"):
        answers = statuses(spent.address, request(method, path, header))

        assert all(status < 500 for status in answers), (method, answers)
        assert spent.jobs() == 1, method


@pytest.mark.parametrize("secret", ["/rq/", "/api/activity"])
def test_no_spelling_of_the_path_leads_around_the_password(spent, secret):
    name = secret.strip("/")
    spellings = [
        f"//{name}", f"//{name}/", f"/./{name}/", f"/x/../{name}/", f"/{name};/", f"/{name}%2f",
        f"/%{ord(name[0]):x}{name[1:]}/", f"/%{ord(name[0]):x}{name[1:]}", f"/{name.upper()}/",
        f"/{name}?x", f"/{name}/.", f"http://x/{name}/", f"/static/../{name}/",
        f"/static/..%2f{name}",
    ]  # fmt: skip
    for path in spellings:
        assert_closed(spent, path, {})
    for header in HEADERS.values():
        field, _, value = header.partition(": ")
        assert_closed(spent, secret, {field: value})
        assert_closed(spent, "/nosuch", {field: value.replace("/jobs", secret)})


def assert_closed(target, path, headers):
    """A stranger is refused, and wherever he is led he is refused too."""
    for _ in range(3):
        connection = HTTPConnection(*target.address, timeout=30)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        if answer.status not in (301, 302, 308):
            break
        path = answer.headers["Location"]
    assert answer.status in (400, 401, 403, 404), (path, headers, answer.status)
