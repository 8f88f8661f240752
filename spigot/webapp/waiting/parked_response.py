"""An answer that comes later: its connection is taken from the web server and given away.

A stream would hold one of the server's threads for as long as a job takes, and 128 of them would be
all there are. gunicorn's thread worker hands applications the socket of a request; its descriptor
is replaced by one whose other end is closed, so that gunicorn finds the client gone and forgets it.
"""

import os
import socket
import ssl
from collections.abc import Iterable, Iterator
from http.client import HTTPException, HTTPResponse
from typing import TYPE_CHECKING, Any

from flask import Response
from werkzeug.wsgi import ClosingIterator

from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem

from .connection_loop import ConnectionLoop
from .waiting_response import WaitingResponse

EVENT_STREAM = "text/event-stream"
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""The second tells nginx to pass each event on at once."""

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

BY_THE_SERVER = frozenset({"connection", "date"})
CHUNK_BYTES = 1 << 16


class ParkedResponse(Response):
    """Is completed by the application as any answer is, and then left to the connection loop.

    Args:
        loop: Takes the connection over.
        response: What is to be sent on it.
        **options: Passed on to Flask's response.
    """

    def __init__(self, loop: ConnectionLoop, response: WaitingResponse, **options: Any) -> None:
        super().__init__(**options)
        self._loop = loop
        self._response = response

    def __call__(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Answer as a WSGI application."""
        connection = take_connection(environ)
        if connection is None:
            return self._relay(environ, start_response)
        self._loop.park(connection, self._response, self.headers)
        start_response(self.status, self.headers.to_wsgi_list())
        return []

    def _relay(
        self, environ: "WSGIEnvironment", start_response: "StartResponse"
    ) -> Iterable[bytes]:
        """Pass on what is sent, where the web server keeps the connection to itself."""
        ours, theirs = socket.socketpair()
        self._loop.park(theirs, self._response, self.headers)
        answer = HTTPResponse(ours, method=environ["REQUEST_METHOD"])
        try:
            answer.begin()
        except (OSError, HTTPException):  # this process ends
            ours.close()
            return too_many_listeners()(environ, start_response)
        headers = [pair for pair in answer.getheaders() if pair[0].lower() not in BY_THE_SERVER]
        start_response(f"{answer.status} {answer.reason}", headers)
        return ClosingIterator(_body(answer, ours), [answer.close, ours.close])


def too_many_listeners() -> Response:
    """Build the answer for a client that would be one too many."""
    return problem(
        503,
        "too many clients wait for jobs here; ask again soon",
        type=ProblemType.TOO_MANY_LISTENERS,
        headers={"Retry-After": "5"},
    )


def take_connection(environ: "WSGIEnvironment") -> socket.socket | None:
    """Take the client's connection from the web server.

    Returns:
        None if this is not possible: not gunicorn, or TLS or HTTP/2, whose state is not in the
        socket.
    """
    theirs = environ.get("gunicorn.socket")
    encrypted = isinstance(theirs, ssl.SSLSocket)
    if not isinstance(theirs, socket.socket) or encrypted or environ.get("HTTP_VERSION") == "2":
        return None
    ours = socket.fromfd(theirs.fileno(), theirs.family, theirs.type, theirs.proto)
    dead, other = socket.socketpair()
    with dead:
        other.close()
        os.dup2(dead.fileno(), theirs.fileno(), inheritable=False)
    return ours


def _body(answer: HTTPResponse, ours: socket.socket) -> Iterator[bytes]:
    while chunk := answer.read1(CHUNK_BYTES):
        yield chunk
    answer.close()
    ours.close()
