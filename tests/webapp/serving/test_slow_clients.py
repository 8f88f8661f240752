"""Slow and broken clients, under gunicorn: they hold no thread, and are answered as such."""

import json
import os
import socket
import time
from contextlib import ExitStack, suppress
from http.client import HTTPResponse

import pytest

from tests.support.fleet import Fleet
from tests.support.processes import descendants, wait_for

THREADS = {"SPIGOT_WEB_PROCESSES": "1", "SPIGOT_WEB_THREADS": "2"}
HEAD = b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
BODY = HEAD + b"Content-Length: 400\r\n\r\n"
CHUNKS = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
JOB = b'{"type": "echo", "payload": {"text": "x"}}'

SLOW = {
    "body": BODY + b"{",
    "chunks": CHUNKS + b"50\r\n{",
    "chunk size": CHUNKS + b"5",
    "no body yet": BODY,
    "awaited word": HEAD + b"Expect: 100-continue\r\nContent-Length: 400\r\n\r\n",
    "unknown route": BODY.replace(b"/jobs", b"/nosuch") + b"{",
    "view that reads no body": BODY.replace(b"POST /jobs", b"GET /livez") + b"{",
    "head": HEAD,
    "nothing": b"",
}


@pytest.fixture
def few_threads(fleet):
    fleet.settings = dict(THREADS)
    return fleet


@pytest.fixture(scope="module")
def kept_fleet(redis_url, tmp_path_factory):
    return Fleet(redis_url, tmp_path_factory.mktemp("web"), settings=dict(THREADS))


@pytest.fixture(scope="module")
def kept_web(kept_fleet):
    with kept_fleet.web() as web:
        yield web


@pytest.fixture
def web(kept_web, redis):
    """A web with few threads, the same for all tests that leave it running."""
    return kept_web


def test_clients_that_do_not_go_on_hold_no_thread(web):
    with ExitStack() as stack:
        for kind, data in SLOW.items():
            for _ in range(20):
                connect(stack, web, data)

            began = time.monotonic()
            assert web.ask("GET", "/livez")[0] == 200
            assert web.ask("POST", "/jobs", {"type": "echo"})[0] == 202
            assert time.monotonic() - began < 5, kind


def test_clients_that_do_not_read_their_answers_hold_no_thread(web):
    many = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 100
    with ExitStack() as stack:
        for _ in range(6):
            connect(stack, web, many, receive_bytes=4096)
        time.sleep(0.5)

        began = time.monotonic()
        assert web.ask("GET", "/livez")[0] == 200
        assert time.monotonic() - began < 5


def test_clients_that_do_not_close_their_side_stop_nobody(web):
    last = b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with ExitStack() as stack:
        for _ in range(20):
            connect(stack, web, last)

        began = time.monotonic()
        assert web.ask("GET", "/livez")[0] == 200
        assert time.monotonic() - began < 1.5


@pytest.mark.slow
def test_a_client_that_takes_too_long_is_told_so_and_left(few_threads):
    wanted = {
        "body": 408,
        "chunks": 408,
        "chunk size": 408,
        "no body yet": 408,
        "head": 408,
        "unknown route": 404,
        "nothing": None,
    }
    with few_threads.web() as web, ExitStack() as stack:
        began = time.monotonic()
        connections = {kind: connect(stack, web, SLOW[kind]) for kind in wanted}

        for kind, status in wanted.items():
            if status is not None:
                answer, document = read(connections[kind])
                assert answer.status == document["status"] == status, kind
                assert answer.headers["Content-Type"] == "application/problem+json"
                if status == 408:
                    assert document["type"] == "urn:spigot:problem:request-timeout", kind
            assert connections[kind].recv(1) == b""
            assert 9 < time.monotonic() - began < 20
        assert "Traceback" not in (few_threads.folder / "web.out").read_text()


@pytest.mark.slow
def test_a_client_that_trickles_is_too_slow_as_well(few_threads):
    with few_threads.web() as web, ExitStack() as stack:
        connection = connect(stack, web, BODY + b"{")
        began = time.monotonic()
        connection.settimeout(0.5)
        got = b""
        while not got:
            assert time.monotonic() - began < 20
            connection.sendall(b" ")
            try:
                got = connection.recv(4096)
            except TimeoutError:
                continue
        assert got.startswith(b"HTTP/1.1 408 ")


def test_a_body_that_comes_in_pieces_is_served(web):
    with ExitStack() as stack:
        connection = connect(stack, web, b"")
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(JOB) + JOB
        for at in range(0, len(request), 20):
            connection.sendall(request[at : at + 20])
            time.sleep(0.01)

        assert read(connection)[0].status == 202


def test_chunks_are_served_and_the_connection_is_kept(web):
    chunked = CHUNKS + b"%x\r\n%s\r\n" % (10, JOB[:10])
    rest = b"%x;a=b\r\n%s\r\n0\r\nX-Sum: x\r\n\r\n" % (len(JOB) - 10, JOB[10:])
    with ExitStack() as stack:
        connection = connect(stack, web, chunked)
        time.sleep(0.1)
        for _ in range(2):
            connection.sendall(rest + chunked)  # the next request comes with the end of this one

            assert read(connection)[0].status == 202


def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order(web):
    ask = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
    with ExitStack() as stack:
        connection = connect(stack, web, ask % b"livez" + ask % b"nosuch" + ask[:5] % () + b"")
        assert read(connection)[0].status == 200
        assert read(connection)[0].status == 404
        connection.sendall((ask % b"livez")[5:])
        assert read(connection)[0].status == 200


def test_a_client_that_waits_for_a_word_before_its_body_gets_it_once(web):
    head = HEAD + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(JOB)
    with ExitStack() as stack:
        connection = connect(stack, web, head)
        assert connection.recv(4096) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(JOB)

        assert connection.recv(12, socket.MSG_PEEK) == b"HTTP/1.1 202"


def test_broken_chunks_are_400(web, kept_fleet):
    broken = [
        b"no\r\nx\r\n",
        b"-1\r\nx\r\n",
        b"5\r\nabcdefgh\r\n0\r\n\r\n",
        b"5;\x00\r\nabcde\r\n0\r\n\r\n",
        b"5\r\nabcde\r\n\r\n\r\n",
        b"5\r\nabcde\r\n0\r\nno trailer\r\n\r\n",
    ]
    with ExitStack() as stack:
        for part in broken:
            connection = connect(stack, web, CHUNKS + part)
            answer, document = read(connection)
            assert answer.status == document["status"] == 400, part
            assert connection.recv(1) == b""

        for part in (b"5\r\nabc", b"5\r\nabcde\r\n0\r\n"):  # and then their end
            connection = connect(stack, web, CHUNKS + part)
            connection.shutdown(socket.SHUT_WR)
            assert read(connection)[0].status == 400, part
        assert "Traceback" not in (kept_fleet.folder / "web.out").read_text()


def test_a_body_that_is_too_long_is_413_before_it_has_come(web):
    starts = [
        HEAD + b"Content-Length: 1000000000\r\n\r\n",
        HEAD + b"Content-Length: 262145\r\n\r\n" + b" " * 262145,
        CHUNKS + b"3fffffff\r\n",
        CHUNKS + b"10000\r\n" + b" " * 65536 + b"\r\n30001\r\n",
        CHUNKS + b"1\r\n \r\n" * 262145,
    ]
    with ExitStack() as stack:
        for start in starts:
            answer, document = read(connect(stack, web, start))
            assert answer.status == document["status"] == 413, start[:100]
            assert answer.headers["Connection"] == "close"


def test_a_body_as_long_as_is_allowed_is_served(web):
    body = JOB + b" " * (262144 - len(JOB))
    chunks = b"".join(b"400\r\n%s\r\n" % body[at : at + 1024] for at in range(0, 262144, 1024))
    with ExitStack() as stack:
        connection = connect(stack, web, HEAD + b"Content-Length: 262144\r\n\r\n" + body)
        assert read(connection)[0].status == 202
        connection = connect(stack, web, CHUNKS + chunks + b"0\r\n\r\n")
        assert read(connection)[0].status == 202


@pytest.mark.parametrize(
    "headers",
    [
        b"Host: another\r\n",
        b"Content-Length: -5\r\n",
        b"Content-Length: five\r\n",
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"X y: z\r\n",
    ],
    ids=repr,
)
def test_headers_that_contradict_themselves_are_400(web, kept_fleet, headers):
    with ExitStack() as stack:
        connection = connect(stack, web, HEAD + headers + b"\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"
        while connection.recv(4096):
            pass
    assert "Traceback" not in (kept_fleet.folder / "web.out").read_text()


def test_what_is_no_request_is_left_at_once(web):
    with ExitStack() as stack:
        began = time.monotonic()
        for noise in (b"\x16\x03\x01\x02\x00", b"\x00" * 100, b"GET /" + b"a" * 100_000):
            connection = connect(stack, web, noise)
            while connection.recv(4096):
                pass
        assert time.monotonic() - began < 5


@pytest.mark.slow
def test_a_half_sent_body_is_served_before_a_stop(few_threads):
    with few_threads.web() as web, ExitStack() as stack:
        request = HEAD + b"Content-Length: %d\r\n\r\n" % len(JOB) + JOB
        idle = connect(stack, web, b"")
        connection = connect(stack, web, request[:-5])
        web.ask("GET", "/livez")
        web.process.terminate()
        time.sleep(0.3)
        connection.sendall(request[-5:])

        assert read(connection)[0].status == 202
        assert web.process.wait(6) == 0
        assert idle.recv(1) == b""


@pytest.mark.slow
def test_connections_that_do_not_fit_wait_or_are_refused_without_a_fault(few_threads, redis):
    job = few_threads.queue(redis).enqueue("echo", {})
    few_threads.open_files = 160
    with few_threads.web() as web, ExitStack() as stack:
        output = few_threads.folder / "web.out"
        wait_for(lambda: b"waiting clients fit" in output.read_bytes())
        streams = [
            connect(stack, web, f"GET /jobs/{job.id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            for _ in range(200)
        ]
        heads = [stream.recv(12) for stream in streams]
        served, refused = heads.count(b"HTTP/1.1 200"), heads.count(b"HTTP/1.1 503")
        assert served >= 10
        assert served + refused == 200
        assert web.ask("GET", "/livez")[0] == 200
        for child in descendants(web.process.pid):
            assert len(os.listdir(f"/proc/{child}/fd")) < 160
        assert "Traceback" not in output.read_text()


def test_a_limit_that_serves_nobody_is_one_line(few_threads):
    few_threads.open_files = 60
    ended = few_threads.spigot("web", "--port", "0")

    assert ended.returncode == 1
    assert "a process may open 60 files, which is too few" in ended.stderr
    assert ended.stderr.count("\n") == 1


class Unbuffered:
    """What ``HTTPResponse`` needs of a connection."""

    def __init__(self, connection):
        self._connection = connection

    def makefile(self, mode):
        return self._connection.makefile(mode, buffering=0)


def connect(stack, web, data, receive_bytes=None):
    connection = stack.enter_context(socket.socket())
    connection.settimeout(30)
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.connect((web.host, web.port))
    with suppress(BrokenPipeError, ConnectionResetError):  # it was answered before all was sent
        connection.sendall(data)
    return connection


def read(connection):
    """Return head and document of one answer, and leave what follows."""
    answer = HTTPResponse(Unbuffered(connection), method="GET")
    answer.begin()
    return answer, json.loads(answer.read())
