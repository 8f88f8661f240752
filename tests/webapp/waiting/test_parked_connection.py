import socket
import time

import pytest

from spigot.webapp.serving.client_deadlines import FIRST_SECONDS
from spigot.webapp.waiting.event_stream import EventStream
from spigot.webapp.waiting.parked_connection import ParkedConnection
from tests.support.event_streams import JOB

LARGE = b"x" * 1_000_000


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.mark.parametrize("opening", [b"", LARGE])
def test_what_the_system_keeps_for_a_client_gives_it_no_time(pair, opening):
    connection = ParkedConnection(pair[0], EventStream(JOB), opening)
    connection.send(LARGE)

    assert connection.has_unsent
    assert connection.due - time.monotonic() <= FIRST_SECONDS


def test_a_client_that_reads_gets_time(pair):
    connection = ParkedConnection(pair[0], EventStream(JOB), b"")
    connection.send(LARGE)
    read = len(pair[1].recv(100_000))
    connection.flush()

    assert read > 50_000
    assert connection.has_unsent
    assert connection.due - time.monotonic() > FIRST_SECONDS + 10
