"""Requests as bytes, for what no HTTP client would send."""

import re
import socket
from collections.abc import Iterator
from contextlib import suppress

JOB = b'{"type": "echo", "payload": {"text": "smuggled"}}'
POST = (
    b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b"Content-Length: %d\r\n\r\n" % len(JOB)
) + JOB


def statuses(address: tuple[str, int], data: bytes) -> list[int]:
    """Send bytes and no more, and return the status of each answer until the server hangs up."""
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        answered = b"".join(_received(connection))
    return [int(status) for status in re.findall(rb"HTTP/1\.\d (\d{3}) ", answered)]


def _received(connection: socket.socket) -> Iterator[bytes]:
    with suppress(ConnectionResetError):  # it hung up before it had read all
        while data := connection.recv(65_536):
            yield data
