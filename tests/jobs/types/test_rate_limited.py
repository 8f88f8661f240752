import pickle
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import httpx
import pytest
import requests
from requests.structures import CaseInsensitiveDict

from spigot.jobs.types.rate_limited import RateLimited, raise_for_rate_limit, rate_limit_in


def test_takes_seconds():
    assert RateLimited(30).retry_after == 30
    assert RateLimited(retry_after=0.25).retry_after == 0.25
    assert str(RateLimited(30)) == "the downstream asked to wait 30 s"


def test_takes_headers_and_says_which_one_counted():
    error = RateLimited(headers={"retry-after": "7"})

    assert error.retry_after == 7
    assert str(error) == "the downstream asked to wait 7 s (retry-after)"


def test_seconds_go_before_headers():
    assert RateLimited(3, headers={"Retry-After": "7"}).retry_after == 3


@pytest.mark.parametrize("headers", [None, {}, {"Retry-After": "soon"}, {"Retry-After": "-1"}])
def test_waits_ten_seconds_if_nobody_says_how_long(headers):
    error = RateLimited(headers=headers)

    assert error.retry_after == 10
    assert "did not say for how long" in str(error)


@pytest.mark.parametrize("seconds", [86401, 365 * 86400, 1e300, float("inf")])
def test_waits_a_day_at_most(seconds):
    assert RateLimited(seconds).retry_after == 86400


def test_a_header_that_says_a_year_is_a_day():
    assert RateLimited(headers={"Retry-After": "31536000"}).retry_after == 86400
    assert (
        RateLimited(headers={"Retry-After": "Fri, 31 Dec 2999 23:59:59 GMT"}).retry_after == 86400
    )


@pytest.mark.parametrize("seconds", [-0.001, -5, float("-inf"), float("nan")])
def test_refuses_a_wait_that_is_none(seconds):
    with pytest.raises(ValueError, match="retry_after must be >= 0 seconds"):
        RateLimited(seconds)


def response_of_requests(status: int, headers: dict[str, str]) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.headers = CaseInsensitiveDict(headers)
    return response


def response_of_httpx(status: int, headers: dict[str, str]) -> httpx.Response:
    return httpx.Response(status, headers=headers)


responses = pytest.mark.parametrize("make_response", [response_of_requests, response_of_httpx])


@responses
@pytest.mark.parametrize("status", [429, 503, 529])
def test_raises_for_a_refusal(make_response, status):
    with pytest.raises(RateLimited) as raised:
        raise_for_rate_limit(make_response(status, {"Retry-After": "12"}))

    assert raised.value.retry_after == 12


@responses
@pytest.mark.parametrize("status", [200, 302, 400, 401, 404, 408, 500, 502, 504])
def test_lets_all_other_answers_through(make_response, status):
    raise_for_rate_limit(make_response(status, {"Retry-After": "12"}))


def test_needs_neither_library():
    code = "import spigot.jobs, sys; print('requests' in sys.modules or 'httpx' in sys.modules)"
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )

    assert output.stdout == "False\n"


def test_a_group_of_rate_limits_is_its_longest():
    group = ExceptionGroup("g", [RateLimited(1), ExceptionGroup("h", [RateLimited(5)])])

    assert rate_limit_in(group).retry_after == 5


@pytest.mark.parametrize(
    "error",
    [KeyError("x"), ExceptionGroup("g", [KeyError("x")]),
     ExceptionGroup("g", [RateLimited(1), KeyError("x")])],
)  # fmt: skip
def test_other_errors_are_none(error):
    assert rate_limit_in(error) is None


def test_a_group_is_its_worst_kind():
    group = ExceptionGroup(
        "g", [RateLimited(9), RateLimited(1, kind="quota"), RateLimited(2, kind="quota")]
    )

    assert (rate_limit_in(group).kind, rate_limit_in(group).retry_after) == ("quota", 2)
    limit = rate_limit_in(ExceptionGroup("h", [group, RateLimited(kind="too_large")]))
    assert limit.kind == "too_large"


def test_a_spent_quota_is_asked_for_after_five_minutes_unless_it_says_until_when():
    assert RateLimited(kind="quota").retry_after == 300
    assert not RateLimited(kind="quota").stated
    assert RateLimited(40, kind="quota").retry_after == 40
    assert RateLimited(0, kind="quota").stated


@pytest.mark.parametrize("kind", ["", "Wait", "spent", None])
def test_refuses_a_kind_that_is_none(kind):
    with pytest.raises(ValueError, match="kind must be one of wait, quota, too_large"):
        RateLimited(3, kind=kind)


@pytest.mark.parametrize(
    "limit",
    [RateLimited(), RateLimited(2.5, kind="quota"), RateLimited(kind="too_large"),
     RateLimited(headers={"Retry-After": "7"})],
)  # fmt: skip
def test_survives_a_process_pool(limit):
    limit.add_note("seen by me")
    copy = pickle.loads(pickle.dumps(limit))

    assert type(copy) is RateLimited
    assert (str(copy), vars(copy)) == (str(limit), vars(limit))


def test_comes_out_of_a_process_pool():
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        future = pool.submit(raise_for_rate_limit, RateLimited(7, kind="quota"))
    with pytest.raises(RateLimited) as raised:
        future.result(30)

    assert (raised.value.retry_after, raised.value.kind) == (7, "quota")
