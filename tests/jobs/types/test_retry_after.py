import time
from email.message import Message
from email.utils import formatdate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict

from spigot.jobs.types.retry_after import wait_in

NOW = 1_800_000_000.0
DATE = formatdate(NOW, usegmt=True)
IN_A_MINUTE = formatdate(NOW + 60, usegmt=True)


def message_of(pairs: list[tuple[str, str]]) -> Message:
    message = Message()
    for name, value in pairs:
        message[name] = value
    return message


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        # RFC 9110
        ({"Retry-After": "120"}, 120),
        ({"RETRY-AFTER": " 7 "}, 7),
        ({"Retry-After": "0"}, 0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": IN_A_MINUTE}, 60),
        ({"Retry-After": "Friday, 15-Jan-27 08:01:00 GMT"}, 60),  # RFC 850
        ({"Retry-After": "Fri Jan 15 08:01:00 2027"}, 60),  # asctime
        ({"Retry-After": formatdate(NOW - 3600, usegmt=True)}, 0),
        ({"Retry-After": str(int(NOW) + 30)}, 30),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        # sent twice, by the server and by what stands before it: the longest
        ({"Retry-After": "5, 30"}, 30),
        ({"Retry-After": "30,5"}, 30),
        ({"Retry-After": "soon, 30"}, 30),
        ({"Retry-After": "-1, 30"}, 30),
        ({"Retry-After": f"5, {IN_A_MINUTE}"}, 60),
        ({"Retry-After": f"{IN_A_MINUTE}, 90"}, 90),
        ({"Retry-After": f"{DATE}, {IN_A_MINUTE}"}, 60),
        ({"retry-after-ms": "500, 1500"}, 1.5),
        # RateLimit, draft 10
        ({"RateLimit": '"burst";r=0;t=30'}, 30),
        ({"RateLimit": '"burst";r=0;t=30, "daily";r=900;t=40000'}, 30),
        ({"RateLimit": '"burst";r=0;t=30, "daily";r=0;t=40000'}, 40000),
        ({"RateLimit": '"burst";r=3;t=30, "daily";r=900;t=40000'}, 30),
        ({"RateLimit": '"a, b;t=9";pk=:YWJj:;t=5;r=0'}, 5),
        ({"RateLimit": '"burst" ; r=0 ; t=30'}, 30),
        # its drafts 7 and 6
        ({"RateLimit": "limit=10, remaining=0, reset=31"}, 31),
        ({"RateLimit-Limit": "10", "RateLimit-Remaining": "0", "RateLimit-Reset": "12"}, 12),
        # Retry-After goes first
        ({"Retry-After": "2", "RateLimit": '"burst";r=0;t=30', "X-RateLimit-Reset": "60"}, 2),
        ({"Retry-After": "soon", "RateLimit": '"burst";r=0;t=30'}, 30),
        # OpenAI, Groq
        ({"x-ratelimit-reset-requests": "1s"}, 1),
        ({"x-ratelimit-reset-requests": "20ms"}, 0.02),
        ({"x-ratelimit-reset-tokens": "6m0s"}, 360),
        ({"x-ratelimit-reset-tokens": "2m59.56s"}, 179.56),
        ({"x-ratelimit-reset-tokens": "1h2m3s"}, 3723),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-reset-tokens": "6m0s"}, 360),
        (
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-remaining-tokens": "14999",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            1,
        ),
        (
            {
                "x-ratelimit-remaining-requests": "59",
                "x-ratelimit-remaining-tokens": "149",
                "x-ratelimit-reset-requests": "1s",
                "x-ratelimit-reset-tokens": "6m0s",
            },
            1,
        ),
        # GitHub, Twitter
        ({"X-RateLimit-Reset": str(int(NOW) + 90), "X-RateLimit-Remaining": "0"}, 90),
        ({"x-rate-limit-reset": str(int(NOW) + 90)}, 90),
        ({"X-RateLimit-Reset": str(int(NOW * 1000) + 1500)}, 1.5),
        ({"X-RateLimit-Reset": str(int(NOW) - 90)}, 0),
        ({"X-RateLimit-Reset": "45"}, 45),
        # Discord, Anthropic
        ({"X-RateLimit-Reset-After": "0.4"}, 0.4),
        ({"anthropic-ratelimit-tokens-reset": "2027-01-15T08:00:10Z"}, 10),
        ({"anthropic-ratelimit-tokens-reset": "2027-01-15T10:00:10+02:00"}, 10),
    ],
)
def test_reads_the_wait_in_every_common_form(headers, seconds):
    wait = wait_in(headers, now=NOW)

    assert wait is not None
    assert wait.seconds == pytest.approx(seconds)
    assert wait.header in headers


@pytest.mark.parametrize(
    "value",
    ["", "soon", "-5", "-1s", "nan", "inf", "1e9", "١٢", "0x10", "1.5.5", "5 apples", "6m0", "m",
     "s", "1s2", "9" * 400, "2026-99-99T00:00:00Z", "Wed, 99 Oct 2026 07:28:00 GMT", "\x00",
     '"";t=5'],
)  # fmt: skip
@pytest.mark.parametrize("name", ["Retry-After", "X-RateLimit-Reset", "RateLimit-Reset"])
def test_what_is_no_time_counts_as_not_sent(name, value):
    assert wait_in({name: value}, now=NOW) is None


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"RateLimit": '"burst";r=0'},
        {"RateLimit": '"burst";r=0;t=-5'},
        {"RateLimit": "garbage"},
        {"RateLimit-Policy": '"burst";q=100;w=60'},
        {"X-RateLimit-Remaining": "0"},
        {"X-RateLimit-Limit": "60"},
        {"X-Preset": "5"},
        {"retry-after": "-1"},
        {"retry-after-ms": "-1", "retry-after": "-1"},
        {
            "x-ratelimit-limit-requests": "-1",
            "x-ratelimit-remaining-requests": "-1",
            "x-ratelimit-reset-requests": "0",
        },
    ],
)
def test_says_nothing_if_the_downstream_does_not(headers):
    assert wait_in(headers, now=NOW) is None


def test_a_date_is_measured_on_the_downstreams_clock():
    headers = {"Retry-After": IN_A_MINUTE, "Date": DATE}

    assert wait_in(headers).seconds == 60


@pytest.mark.parametrize(
    "headers",
    [
        httpx.Headers([("retry-after", "5"), ("Retry-After", "30")]),
        HTTPHeaderDict([("Retry-After", "30"), ("Retry-After", "5")]),
        message_of([("Retry-After", "5"), ("Retry-After", "30")]),
        [("Retry-After", "5"), ("retry-after", "30")],
        [(b"retry-after", b"30"), (b"retry-after", b"5")],
        {"Retry-After": ["5", "30"]},
        {"Retry-After": ("30", "5")},
        {"Retry-After": 30},
    ],
    ids=lambda headers: type(headers).__name__,
)
def test_reads_headers_as_each_library_holds_them(headers):
    assert wait_in(headers).seconds == 30


@pytest.mark.parametrize("date", ["garbage", "12345", ""])
def test_without_a_date_our_own_clock_counts(date):
    headers = {"X-RateLimit-Reset": str(int(time.time()) + 60), "Date": date}

    assert 55 < wait_in(headers).seconds <= 60


NAMES = ["Retry-After", "retry-after-ms", "RateLimit", "X-RateLimit-Reset", "Date"]
TIMES = st.text(alphabet='0123456789.,;=rtdhms:-"+ ZGMTWedOct', max_size=30)
LATIN_1 = st.text(st.characters(max_codepoint=255), max_size=9)


@given(st.dictionaries(st.sampled_from(NAMES), TIMES | LATIN_1))
def test_no_header_is_an_error_or_a_negative_wait(headers):
    wait = wait_in(headers)

    assert wait is None or wait.seconds >= 0
