"""Clients that wait, under gunicorn: they hold no threads, and no deploy waits for them."""

import json
import os
import signal
import socket
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from spigot.jobs.store import keys
from tests.support.event_streams import parsed
from tests.support.processes import descendants, wait_for

LISTENS = "0A"
"""The kernel's word for the state of a socket that takes connections."""


def read_until(connection, text: bytes) -> bytes:
    got = b""
    while text not in got:
        chunk = connection.recv(65536)
        assert chunk, got
        got += chunk
    return got


def read_rest(connection) -> bytes:
    got = b""
    while chunk := connection.recv(65536):
        got += chunk
    return got


def read_answer(connection) -> tuple[bytes, Any]:
    """Return head and document of an answer that ends with its connection."""
    head, _, body = read_rest(connection).partition(b"\r\n\r\n")
    return head, json.loads(body)


@pytest.fixture
def one_thread(fleet):
    fleet.settings = {"SPIGOT_WEB_PROCESSES": "1", "SPIGOT_WEB_THREADS": "1"}
    return fleet


def test_more_clients_wait_than_there_are_threads(one_thread, redis):
    job = one_thread.queue(redis).enqueue("echo", {"text": "at last"})
    with one_thread.web() as web, ExitStack() as stack:
        streams = [stack.enter_context(web.open(f"/jobs/{job.id}/events")) for _ in range(20)]
        polls = [stack.enter_context(web.open(f"/jobs/{job.id}?wait=60")) for _ in range(20)]
        for stream in streams:
            read_until(stream, b"data:")

        assert web.ask("GET", "/livez")[0] == 200

        with one_thread.workers():
            for stream in streams:
                assert parsed(read_rest(stream))[-1]["data"]["result"] == "at last"
            for poll in polls:
                head, document = read_answer(poll)
                assert head.startswith(b"HTTP/1.1 200 OK\r\n")
                assert document["result"] == "at last"


def test_a_deploy_ends_streams_and_answers_polls(one_thread, redis):
    job = one_thread.queue(redis).enqueue("echo", {})
    with one_thread.web() as web:
        stream, poll = web.open(f"/jobs/{job.id}/events"), web.open(f"/jobs/{job.id}?wait=60")
        with stream, poll:
            read_until(stream, b"data:")
            began = time.monotonic()
            web.process.send_signal(signal.SIGTERM)

            assert stream.recv(65536) == b""
            head, document = read_answer(poll)
            assert head.startswith(b"HTTP/1.1 200 OK\r\n")
            assert document["status"] == "queued"
            assert web.process.wait(20) == 0
            assert time.monotonic() - began < 5


def test_a_running_job_is_cancelled_over_http(one_thread, redis):
    with one_thread.web() as web, one_thread.workers():
        _, job = web.ask("POST", "/jobs", {"type": "nap", "payload": {"seconds": 60}})
        wait_for(lambda: (one_thread.folder / "nap.note").exists())

        status, cancelled = web.ask("DELETE", f"/jobs/{job['id']}")

    assert (status, cancelled["status"]) == (200, "cancelled")


def test_a_client_that_hangs_up_leaves_nothing_behind(one_thread, redis):
    job = one_thread.queue(redis).enqueue("echo", {})
    with one_thread.web() as web:
        web.ask("GET", f"/jobs/{job.id}?wait=0.1")
        before = descriptors(web.process.pid)
        for _ in range(30):
            with web.open(f"/jobs/{job.id}/events") as stream:
                read_until(stream, b"data:")

        # two or three connections to the server may have come, which are kept
        wait_for(lambda: descriptors(web.process.pid) < before + 10)


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(240)
def test_three_hundred_clients_leave_the_api_answering_at_once(fleet, redis):
    queue = fleet.queue(redis)
    jobs = [queue.enqueue("echo", {"text": str(number)}).id for number in range(300)]
    with fleet.web() as web, ExitStack() as stack:
        streams = [stack.enter_context(web.open(f"/jobs/{job_id}/events")) for job_id in jobs]
        for stream in streams:
            read_until(stream, b"data:")

        seconds = []
        for job_id in jobs[:100]:
            began = time.perf_counter()
            assert web.ask("GET", f"/jobs/{job_id}")[0] == 200
            seconds.append(time.perf_counter() - began)
        assert median(seconds) < 0.1

        with fleet.workers(2):
            for job_id, stream in zip(jobs, streams, strict=True):
                last = parsed(read_rest(stream))[-1]["data"]
                assert (last["id"], last["status"]) == (job_id, "finished")


def descriptors(parent: int) -> int:
    """Count the open files of the one process that a web process has forked."""
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    return len(os.listdir(f"/proc/{child}/fd"))


@pytest.mark.slow
def test_streams_that_nobody_reads_are_ended_and_others_are_served_meanwhile(one_thread, redis):
    queue = one_thread.queue(redis)
    other, large = queue.enqueue("echo", {}), queue.enqueue("echo", {})
    with one_thread.web() as web, ExitStack() as stack:
        reader = stack.enter_context(web.open(f"/jobs/{other.id}/events"))
        read_until(reader, b"data:")
        (process,) = descendants(web.process.pid)
        assert clients_of(process, web.port) == 1
        for _ in range(5):
            stream = stack.enter_context(small_window(web))
            stream.sendall(f"GET /jobs/{large.id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        wait_for(lambda: clients_of(process, web.port) == 1 + 5)

        began = time.monotonic()
        change(redis, large.id, "x" * 2 * most_kept_by_the_system())
        while clients_of(process, web.port) > 1:
            asked = time.monotonic()
            assert web.ask("GET", "/livez")[0] == 200
            change(redis, other.id, f"at {asked}")
            read_until(reader, f"at {asked}".encode())
            assert time.monotonic() - asked < 2
            assert asked - began < 60
            time.sleep(0.2)
        assert time.monotonic() - began > 9


def clients_of(process: int, port: int) -> int:
    """Count the connections that a process has accepted on a port and has not closed."""
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    sockets = {
        f"socket:[{inode}]"
        for _, local, _, state, *_, inode in (line[:10] for line in lines)
        if int(local.partition(":")[2], 16) == port and state != LISTENS
    }
    links = set()
    for path in Path(f"/proc/{process}/fd").iterdir():
        with suppress(FileNotFoundError):  # it was closed meanwhile
            links.add(os.readlink(path))
    return len(sockets & links)


@contextmanager
def small_window(web):
    """Connect so that the system keeps little for this side."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect((web.host, web.port))
        yield connection


def change(redis, job_id: str, name: str) -> None:
    """Change what is shown of a job, as large as need be."""
    redis.hset(keys.job(job_id), "spigot_type", name)
    redis.hincrby(keys.job(job_id), "spigot_revision", 1)
    redis.publish(keys.job_events(), job_id)


def most_kept_by_the_system() -> int:
    return int(Path("/proc/sys/net/ipv4/tcp_wmem").read_text().split()[2])
