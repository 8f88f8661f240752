"""Requests that hide another one in their body, where two readers of HTTP might disagree."""

import pytest

from .raw_http import JOB, POST, statuses

pytestmark = pytest.mark.slow

HEAD = b"POST /nosuch HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
LIVEZ = b"GET /livez HTTP/1.1\r\nHost: x\r\n"
WHOLE = len(POST)
END_AND_POST = b"0\r\n\r\n" + POST

HIDDEN = {
    "in a body that nobody reads": LIVEZ + b"Content-Length: %d\r\n\r\n" % WHOLE + POST,
    "in a body of an unknown route": HEAD + b"Content-Length: %d\r\n\r\n" % WHOLE + POST,
    "in a chunk": LIVEZ
    + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % WHOLE + POST + b"\r\n0\r\n\r\n",
    "length and chunks": HEAD
    + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n" % len(END_AND_POST)
    + END_AND_POST,
    "chunks and length": HEAD
    + b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n\r\n" % len(END_AND_POST)
    + END_AND_POST,
    "two lengths": HEAD + b"Content-Length: 0\r\nContent-Length: %d\r\n\r\n" % WHOLE + POST,
    "a list of lengths": HEAD + b"Content-Length: 0, %d\r\n\r\n" % WHOLE + POST,
    "a length with a sign": HEAD + b"Content-Length: +0\r\n\r\n" + POST,
    "a length below zero": HEAD + b"Content-Length: -1\r\n\r\n" + POST,
    "a length with an underscore": HEAD + b"Content-Length: 0_0\r\n\r\n" + POST,
    "a length in hex": HEAD + b"Content-Length: 0x0\r\n\r\n" + POST,
    "a space before the colon": HEAD + b"Content-Length : 0\r\n\r\n" + POST,
    "a folded header": HEAD + b"X: y\r\n Content-Length: 0\r\n\r\n" + POST,
    "almost chunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n" + END_AND_POST,
    "chunked twice": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + END_AND_POST,
    "chunked before another": HEAD + b"Transfer-Encoding: chunked, gzip\r\n\r\n" + END_AND_POST,
    "chunked behind a tab": HEAD + b"Transfer-Encoding:\tchunked\x0b\r\n\r\n" + END_AND_POST,
    "a chunk size below zero": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n" + POST,
    "a chunk size with an underscore": HEAD
    + b"Transfer-Encoding: chunked\r\n\r\n0_0\r\n\r\n" + POST,
    "chunks in HTTP/1.0": HEAD.replace(b"1.1", b"1.0")
    + b"Transfer-Encoding: chunked\r\n\r\n" + END_AND_POST,
    "lines that end in LF": HEAD.replace(b"\r\n", b"\n") + b"Content-Length: 0\n\n" + POST,
    "a header with NUL": HEAD + b"X: a\x00b\r\nContent-Length: 0\r\n\r\n" + POST,
    "a header with CR": HEAD + b"X: a\rContent-Length: %d\r\n\r\n" % WHOLE + POST,
    "two requests in a method": b"GET /livez HTTP/1.1 POST /jobs HTTP/1.1\r\nHost: x\r\n\r\n"
    + POST,
}  # fmt: skip
"""A request each, with a ``POST /jobs`` where one reader sees a body, and another the next one.

The first of them is refused or its body is passed over; the hidden one must not be served.
"""


def test_one_request_after_the_other_is_served(target):
    before = target.jobs()

    assert statuses(target.address, POST + LIVEZ + b"\r\n" + POST) == [202, 200, 202]
    assert target.jobs() == before + 2


@pytest.mark.parametrize("hidden", HIDDEN.values(), ids=HIDDEN)
def test_what_is_hidden_is_not_served(target, hidden):
    before = target.jobs()
    answers = statuses(target.address, hidden)

    assert target.jobs() == before
    assert len(answers) <= 1
    assert all(status < 500 or status == 501 for status in answers), answers


def test_a_body_is_taken_for_no_more_than_it_is(target):
    """What stands behind the announced length is no part of the job."""
    cut = POST.replace(b"Content-Length: %d" % len(JOB), b"Content-Length: %d" % (len(JOB) - 1))
    before = target.jobs()

    assert statuses(target.address, cut)[0] == 400
    assert target.jobs() == before
