"""What an answer means, whichever library or SDK hands it over."""

import gzip
import io
import json
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace
from unittest.mock import MagicMock, Mock
from urllib.error import HTTPError

import httpx
import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from spigot.jobs.types.rate_limited import RateLimited, raise_for_rate_limit
from tests.support.downstream_answers import CASES, SPENT, TPM, Case, anthropic, gemini, openai
from tests.support.served import served


def limit_of(thing: object) -> RateLimited | None:
    try:
        raise_for_rate_limit(thing)
    except RateLimited as limit:
        return limit
    return None


def of_httpx(case: Case) -> httpx.Response:
    return httpx.Response(case.status, headers=case.headers, json=case.body)


def of_requests(case: Case) -> requests.Response:
    response = requests.Response()
    response.status_code = case.status
    response.headers = CaseInsensitiveDict(case.headers)
    response._content = json.dumps(case.body).encode()
    return response


class SdkError(Exception):
    """As the SDKs' ``APIStatusError``: it has the response, and the body that was parsed."""

    def __init__(self, response: httpx.Response, body: object) -> None:
        super().__init__(f"Error code: {response.status_code} - {body}")
        self.response, self.body = response, body
        self.status_code = response.status_code


def of_openai_sdk(case: Case) -> Exception:
    body = case.body.get("error", case.body) if isinstance(case.body, dict) else case.body
    return SdkError(of_httpx(case), body)


def of_anthropic_sdk(case: Case) -> Exception:
    return SdkError(of_httpx(case), case.body)


def of_google_genai(case: Case) -> Exception:
    error = Exception(f"{case.status} RESOURCE_EXHAUSTED. {case.body}")
    error.code, error.status, error.details = case.status, "RESOURCE_EXHAUSTED", case.body
    error.response = SimpleNamespace(headers=case.headers)
    return error


def of_urllib(case: Case) -> HTTPError:
    headers = Message()
    for name, value in {**case.headers, "Content-Type": "application/json"}.items():
        headers[name] = value
    return HTTPError(
        "http://x", case.status, "", headers, io.BytesIO(json.dumps(case.body).encode())
    )


def of_raised(case: Case) -> Exception:
    error = Exception("raise_for_status")
    error.response = of_requests(case)
    return error


MADE = [of_httpx, of_requests, of_openai_sdk, of_anthropic_sdk, of_google_genai, of_raised]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_says_what_the_downstream_meant(case):
    for make in MADE:
        limit, library = limit_of(make(case)), make.__name__

        if case.kind is None:
            assert limit is None, library
            continue
        assert limit is not None, library
        assert (limit.kind, limit.stated) == (case.kind, case.seconds is not None), library
        if limit.stated:
            # without the downstream's date our own clock counts
            assert limit.retry_after == pytest.approx(min(case.seconds, 86_400)), library


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.status not in (400, 403)], ids=lambda case: case.name
)
def test_reads_an_error_of_urllib(case):
    limit = limit_of(of_urllib(case))

    assert (limit.kind, limit.stated) == (case.kind, case.seconds is not None)


@pytest.mark.parametrize(
    "limit",
    [
        ("rate_limit_error", "wait"),
        ("overloaded_error", "wait"),
        ("billing_error", "quota"),
        ("api_error", None),
    ],
)
def test_a_stream_that_breaks_off_says_it_under_200(limit):
    type, kind = limit
    found = limit_of(SdkError(httpx.Response(200), anthropic(type, "")))

    assert (found.kind if found else None) == kind


def test_an_answer_of_200_is_not_read():
    body = {"error": {"type": "rate_limit_error"}}

    assert limit_of(httpx.Response(200, json=body)) is None


@pytest.mark.parametrize("code", ["ThrottlingException", "TooManyRequestsException", "Throttling"])
@pytest.mark.parametrize("status", [400, 429])
def test_reads_an_error_of_botocore(code, status):
    error = Exception(f"An error occurred ({code})")
    error.response = {
        "Error": {"Code": code, "Message": "Too many tokens per day, please wait"},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": {"retry-after": "9"}},
    }

    assert (limit_of(error).kind, limit_of(error).retry_after) == ("quota", 9)
    error.response["Error"] = {"Code": "ValidationException"}
    error.response["ResponseMetadata"]["HTTPStatusCode"] = 400
    assert limit_of(error) is None


def test_reads_what_grpc_prints():
    error = Exception(
        '429 You exceeded your current quota. [violations {\n  quota_id: "RequestsPerMinute"\n}\n,'
        " retry_delay {\n  seconds: 44\n}\n]"
    )
    error.code = 429

    assert limit_of(error).retry_after == 44
    error.args = (str(error).replace("PerMinute", "PerDayPerProject"),)
    assert (limit_of(error).kind, limit_of(error).stated) == ("quota", False)


def test_a_rate_limited_is_raised_as_it_is():
    limit = RateLimited(3)

    assert limit_of(limit) is limit


def test_the_cause_of_the_refusal_is_kept():
    error = of_openai_sdk(CASES[0])

    assert limit_of(error).__cause__ is error


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        ("Please try again in 1h2m3.5s.", 3723.5),
        ("Please retry in 12.5s.", 12.5),
        ("try again in 1 minute", 60),
        ("Try again in 2 hours, 3 minutes and 4 seconds.", 7384),
        ("Please wait for 30 seconds", 30),
        ("Your limit resets in 5 minutes", 300),
        ("try again in 500 milliseconds", 0.5),
        ("Retry after 0s", 0),
        ("try again in 20 apples", None),
        ("try again in a while", None),
        ("try again in -5s", None),
        ("try again later", None),
    ],
)
def test_reads_a_message(message, seconds):
    limit = limit_of(httpx.Response(429, json=openai(message)))

    assert (limit.retry_after if limit.stated else None) == seconds


def test_the_order_of_what_is_said():
    body = gemini("PerMinute", "37s")
    body["error"]["message"] = "try again in 50s"
    headers = {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "70s"}

    def seconds() -> float:
        return limit_of(httpx.Response(429, headers=headers, json=body)).retry_after

    body["error"]["details"], details = [], body["error"]["details"]
    assert seconds() == 50
    body["error"]["details"] = details
    assert seconds() == 37
    headers["retry-after"] = "20"
    assert seconds() == 20
    headers["retry-after-ms"] = "10000"
    assert seconds() == 10
    headers |= {"retry-after-ms": "-1", "retry-after": "-1"}
    body.clear()
    assert seconds() == 70


# Bodies in any state

TOO_LARGE = openai("Request too large: Limit 1, Requested 2")


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(TOO_LARGE).encode("utf-16"),
        json.dumps(TOO_LARGE).encode("utf-8-sig"),
        json.dumps(TOO_LARGE | {"é": "é"}, ensure_ascii=False).encode("latin-1"),
    ],
)
def test_reads_other_encodings(body):
    assert limit_of(httpx.Response(429, content=body)).kind == "too_large"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>Request too large</html>",
        b"\xff\xfe\x00",
        b"null",
        b'"too large"',
        b"[" * 60_000,
        b'{"error":' * 7_000,
        b"1" * 60_000,
        json.dumps(TOO_LARGE | {"padding": "x" * 65_536}).encode(),
        b'{"error": {"message": 5, "code": null, "details": [1, null, {"retryDelay": []}]}}',
        json.dumps([[]] * 20_000).encode(),
    ],
)
@pytest.mark.parametrize("make", [of_httpx, of_requests])
def test_a_body_that_says_nothing_is_a_wait(make, body):
    response = make(Case("", 429, None, None))
    response._content = body

    assert (limit_of(response).kind, limit_of(response).stated) == ("wait", False)


@pytest.fixture(scope="module")
def downstream():
    """Refuse everything: what, is said by the path."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _, status, kind, *_ = self.path.split("/")
            body = json.dumps(TOO_LARGE).encode()
            if kind == "huge":
                body = b" " * 10_000_000 + body
            packed = gzip.compress(body) if kind == "gzip" else body
            self.send_response(int(status))
            self.send_header("Content-Type", "text/html" if kind == "html" else "application/json")
            if kind == "gzip":
                self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(packed) + 100 * (kind == "cut")))
            self.end_headers()
            self.wfile.write(packed)
            if kind == "cut":
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    with served(server) as address:
        yield f"http://{address}"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("json", "too_large"), ("gzip", "too_large"), ("html", "wait"), ("huge", "wait"),
     ("cut", "wait")],
)  # fmt: skip
def test_reads_a_body_that_is_on_its_way(downstream, kind, expected):
    url = f"{downstream}/429/{kind}"
    with requests.get(url, stream=True, timeout=10) as response:
        assert limit_of(response).kind == expected
    with httpx.Client() as client, client.stream("GET", url) as response:
        assert limit_of(response).kind == expected


def test_leaves_the_body_of_a_403_to_the_caller(downstream):
    url = f"{downstream}/403/json"
    with requests.get(url, stream=True, timeout=10) as response:
        assert limit_of(response) is None
        assert response.json() == TOO_LARGE
    with httpx.Client() as client, client.stream("GET", url) as response:
        assert limit_of(response) is None
        assert json.loads(response.read()) == TOO_LARGE


def test_a_body_that_was_used_up_is_a_wait(downstream):
    with requests.get(f"{downstream}/429/json", stream=True, timeout=10) as response:
        list(response.iter_content(100))
        assert limit_of(response).kind == "wait"
    with httpx.Client() as client, client.stream("GET", f"{downstream}/429/json") as response:
        list(response.iter_bytes())
        assert limit_of(response).kind == "wait"


async def _nothing():
    yield b"{}"


def test_a_body_that_belongs_to_an_event_loop_is_a_wait():
    headers = {"content-type": "application/json", "retry-after": "4"}
    response = httpx.Response(429, headers=headers, content=_nothing())

    assert limit_of(response).retry_after == 4


# Strange objects


class Trap:
    """Raises at whatever is read of it."""

    def __getattr__(self, name: str) -> object:
        raise RuntimeError(name)


class Mute(Exception):
    status_code = 429

    def __str__(self) -> str:
        raise ValueError

    @property
    def body(self) -> object:
        raise ValueError


class Slots:
    __slots__ = ("headers", "status_code")


@pytest.mark.parametrize(
    "thing",
    [
        None, 5, "429", b"", [], {}, {"response": 429}, object(), Trap(), Slots(), Mock(),
        MagicMock(), KeyError("429"), Exception(SPENT), SimpleNamespace(),
        ConnectionError("rate limit"),
        SimpleNamespace(status_code="x"), SimpleNamespace(status_code=10**5000),
        SimpleNamespace(status_code=True), SimpleNamespace(status=-429),
        SimpleNamespace(response=Trap()), SimpleNamespace(status_code=None, response=None),
    ],
    ids=lambda thing: "thing",
)  # fmt: skip
def test_what_is_no_refusal_passes(thing):
    raise_for_rate_limit(thing)


@pytest.mark.parametrize(
    "thing",
    [
        Mute(), SimpleNamespace(status_code=429), SimpleNamespace(status_code="429", headers=None),
        SimpleNamespace(status=429, headers=5), SimpleNamespace(code=429, headers="x"),
        SimpleNamespace(status_code=429, headers=Trap(), content=Trap()),
        SimpleNamespace(status_code=429, headers={None: None}, body={5: {None: 3}}),
        SimpleNamespace(status_code=429, headers={}, iter_bytes=lambda size: 1 / 0),
        MagicMock(status_code=429), Mock(status_code=429),
    ],
    ids=lambda thing: "thing",
)  # fmt: skip
def test_a_strange_refusal_is_a_wait(thing):
    assert (limit_of(thing).kind, limit_of(thing).stated) == ("wait", False)


WORDS = ["error", "code", "type", "message", "details", "retryDelay", "quotaId", "status"]

json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(WORDS), inner),
    max_leaves=20,
)


@given(json_values, st.sampled_from([200, 400, 403, 429, 503, 529]))
def test_no_body_is_an_error(body, status):
    content = json.dumps(body).encode()
    limit = limit_of(httpx.Response(status, content=content))

    assert limit is None or limit.retry_after >= 0


@given(st.text(alphabet="try again in retry after 0123456789.smhd,:", max_size=200))
def test_no_message_is_an_error(message):
    assert limit_of(httpx.Response(429, json=openai(TPM + message))).retry_after >= 0
