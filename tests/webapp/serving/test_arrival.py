"""When a request has arrived: gunicorn's parser, which gets the same bytes, has the last word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spigot.webapp.serving.arrival import MOST_HEAD_BYTES, Arrival, State
from spigot.webapp.serving.client_deadlines import FIRST_SECONDS, LEAST_BYTES_PER_SECOND

MOST = 100
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n"
CHUNKS = b"POST /jobs HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "state"),
    [
        (b"", State.HEAD),
        (b"POST /jobs HTTP/1.1\r\nHost:", State.HEAD),
        (GET, State.WHOLE),
        (POST, State.BODY),
        (POST + b"123", State.BODY),
        (POST + b"1234", State.WHOLE),
        (POST + b"1234" + GET, State.WHOLE),
        (POST.replace(b"4", b"0"), State.WHOLE),
        (POST.replace(b"Content-Length", b"content-LENGTH"), State.BODY),
        (POST.replace(b": 4", b":4"), State.BODY),
        (POST.replace(b"4", b"100"), State.BODY),
        (POST.replace(b"4", b"101"), State.LONG_BODY),
        (POST.replace(b"4", b"+4"), State.WHOLE),  # the parser refuses it
        (POST.replace(b"\r\n\r\n", b"\r\nTransfer-Encoding: chunked\r\n\r\n"), State.BODY),
        (CHUNKS, State.BODY),
        (CHUNKS + b"3\r\nabc\r\n", State.BODY),
        (CHUNKS + b"3\r\nabc\r\n0\r\n", State.BODY),
        (CHUNKS + b"3\r\nabc\r\n0\r\n\r\n", State.WHOLE),
        (CHUNKS + b"3;name=value\r\nabc\r\n0\r\n\r\n", State.WHOLE),
        (CHUNKS + b"3\r\nabc\r\n0\r\nTrailer: x\r\n", State.BODY),
        (CHUNKS + b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n", State.WHOLE),
        (CHUNKS + b"3\r\nabcde\r\n", State.WHOLE),  # longer than it says
        (CHUNKS + b"no\r\n", State.WHOLE),
        (CHUNKS + b"-1\r\n", State.WHOLE),
        (CHUNKS + b"0x1\r\n", State.WHOLE),
        (CHUNKS + b"\r\n", State.WHOLE),
        (CHUNKS + b"64\r\n", State.BODY),
        (CHUNKS + b"65\r\n", State.LONG_BODY),
        (CHUNKS + b"ffffffffffffffff\r\n", State.LONG_BODY),
        (CHUNKS + b"1\r\na\r\n" * 100, State.BODY),
        (CHUNKS + b"1\r\na\r\n" * 101, State.LONG_BODY),
        (CHUNKS + b"1" * 9000, State.WHOLE),
        (CHUNKS + b"0\r\n" + b"a: b\r\n" * 20_000, State.WHOLE),
        (b"\x16\x03\x01\x02", State.WHOLE),  # TLS
        (b"GET /" + b"a" * MOST_HEAD_BYTES, State.LONG_HEAD),
    ],
)
def test_a_request_is_whole_when_its_end_is_there(data, state):
    assert arrival_of(data).state is state


@given(
    st.sampled_from([POST + b"1234", CHUNKS + b"3\r\nabc\r\n4;a=b\r\ndefg\r\n0\r\nA: b\r\n\r\n"]),
    st.lists(st.integers(0, 120), max_size=6),
)
def test_it_does_not_matter_in_which_pieces_it_comes(data, cuts):
    arrival = Arrival(0, MOST)
    begin = 0
    for end in [*sorted(cut for cut in cuts if cut < len(data)), len(data)]:
        assert arrival.waits
        arrival.add(data[begin:end])
        begin = end

    assert arrival.state is State.WHOLE
    assert arrival.data == data


@pytest.mark.parametrize("whole", [POST + b"1234", CHUNKS + b"3\r\nabc\r\n0\r\nA: b\r\n\r\n", GET])
def test_it_is_not_whole_one_byte_before(whole):
    for size in range(len(whole)):
        assert arrival_of(whole[:size]).waits, whole[:size]


def test_a_client_that_waits_for_a_word_is_known():
    assert arrival_of(POST.replace(b"Host: x", b"expect: 100-Continue")).wants_continue
    assert not arrival_of(POST).wants_continue


def test_each_second_s_worth_of_bytes_gives_a_second_more():
    arrival = Arrival(1000, MOST)
    assert arrival.due == 1000 + FIRST_SECONDS

    arrival.add(b"GET /" + b"a" * (3 * LEAST_BYTES_PER_SECOND - 5))

    assert arrival.due == 1000 + FIRST_SECONDS + 3


def arrival_of(data):
    arrival = Arrival(0, MOST)
    arrival.add(data)
    return arrival
