"""gunicorn's worker with threads, in which no thread waits for a client.

gunicorn gives each connection a thread when its first byte has come; a client that then sends
nothing, or reads nothing, holds it, and as many as there are threads take the whole API. Here the
poller's thread collects each request, head and body, gives it a thread when all of it has arrived,
and sends what the client did not take of the answer at once.
"""

import errno
import logging
import selectors
import socket
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar

from gunicorn.http.errors import ParseException
from gunicorn.workers.gthread import TConn, ThreadWorker

from .arrival import Arrival, State
from .arrived_bytes import ArrivedBytes
from .client_socket import ClientSocket

log = logging.getLogger(__name__)

READ_BYTES = 1 << 16
LINGER_SECONDS = 2.0
"""How long a closed connection takes what the client still sends: a reset would cost it the answer.

Source: RFC 9112, section 9.6.
"""

CROWDED_SECONDS = 1.0
"""What a request may take to arrive while there is no room for further connections."""

TIMEOUT_CHECK_SECONDS = 0.25
TOO_SLOW = b"""\
HTTP/1.1 408 Request Timeout\r
Connection: close\r
Content-Type: application/problem+json\r
Content-Length: %d\r
\r
%s"""


class RequestWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no annotations
    """Serves connections; ``gunicorn_settings`` makes the class that it uses.

    Attributes:
        most_body_bytes: A longer body is not waited for.
        too_slow: Document for a client whose head did not arrive in time.
    """

    most_body_bytes: ClassVar[int]
    too_slow: ClassVar[bytes]

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._arriving: dict[TConn, Arrival] = {}
        self._reading: dict[TConn, Future[Any]] = {}
        self._closing: dict[TConn, float] = {}
        self._look_at = 0.0
        self._no_descriptors = False

    def accept(self, listener: Any) -> None:
        """Take one connection; called by gunicorn."""
        try:
            accepted, address = listener.accept()
        except OSError as error:
            self._cannot_accept(error)
            return
        self._no_descriptors = False
        self.nr_conns += 1
        connection = TConn(self.cfg, ClientSocket.take(accepted), address, listener.getsockname())
        connection.init()
        self._await_request(connection)

    def on_client_socket_readable(self, connection: TConn, client: socket.socket) -> None:
        """Read the next request of a connection that was kept; called by gunicorn."""
        self.poller.unregister(client)
        self.keepalived_conns.remove(connection)
        self._await_request(connection)

    def finish_request(self, connection: TConn, future: "Future[Any]") -> None:
        """Keep or close a connection whose request was served; called by gunicorn."""
        if connection.sock.has_unsent:
            self._reading[connection] = future
            self.poller.register(
                connection.sock, selectors.EVENT_WRITE, partial(self._send_on, connection)
            )
        elif future.cancelled() or future.exception() is not None or not future.result():
            self._let_go(connection)
        elif connection.parser.unreader.has_more:  # the client did not wait for the answer
            self._await_request(connection)
        else:
            super().finish_request(connection, future)

    def murder_pending(self) -> None:
        """Look at the time of the connections; called by gunicorn after each event."""
        now = time.monotonic()
        if now < self._look_at:
            return
        self._look_at = now + TIMEOUT_CHECK_SECONDS
        crowded = self.nr_conns >= self.worker_connections
        for connection, arrival in list(self._arriving.items()):
            if now >= arrival.due or (crowded and now >= arrival.begun_at + CROWDED_SECONDS):
                self._end_arrival(connection, arrival)
            elif not self.alive and not arrival.data and now >= arrival.begun_at + LINGER_SECONDS:
                self._close(connection)
        for connection in [one for one in self._reading if now >= one.sock.due]:
            log.info("%s did not read its answer in time", connection.client)
            self._close(connection)
        for connection, due in list(self._closing.items()):
            if now >= due:
                self._close(connection)

    def handle_request(self, request: Any, connection: TConn) -> Any:
        """Serve a request; called by gunicorn in a thread."""
        arrival: Arrival = connection.arrival
        if arrival.wants_continue:
            request._expected_100_continue = False  # it was told while the body was waited for
        if arrival.state is not State.WHOLE:
            request.force_close()
        return super().handle_request(request, connection)

    def _keepalive_after(self, connection: TConn, keepalive: bool) -> bool:
        if connection.arrival.state is not State.WHOLE:
            return False
        try:
            return bool(super()._keepalive_after(connection, keepalive))
        except ParseException as error:  # its request has an answer: gunicorn would send another
            log.info("%s sent a body that cannot be read: %s", connection.client, error)
            return False

    # Requests that arrive

    def _await_request(self, connection: TConn) -> None:
        read_ahead = connection.parser.unreader.take_buffered()
        arrival = Arrival(time.monotonic(), self.most_body_bytes)
        connection.arrival = arrival
        connection.sock.setblocking(False)
        self._arriving[connection] = arrival
        self.poller.register(connection.sock, selectors.EVENT_READ, partial(self._hear, connection))
        if read_ahead:
            self._add(connection, arrival, read_ahead)
        if connection in self._arriving:
            self._hear(connection, connection.sock)

    def _hear(self, connection: TConn, client: socket.socket) -> None:
        arrival = self._arriving[connection]
        try:
            data = client.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            self._close(connection)
            return
        if data:
            self._add(connection, arrival, data)
        elif arrival.data:
            self._serve(connection, arrival, hung_up=True)
        else:
            self._close(connection)

    def _add(self, connection: TConn, arrival: Arrival, data: bytes) -> None:
        had_head = arrival.state is not State.HEAD
        arrival.add(data)
        if not arrival.waits:
            self._serve(connection, arrival)
        elif arrival.wants_continue and not had_head:
            with suppress(OSError):  # it finds out, or the next read does
                connection.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _end_arrival(self, connection: TConn, arrival: Arrival) -> None:
        """Answer a client that was too slow, or leave one that said nothing."""
        if arrival.state is State.BODY:
            self._serve(connection, arrival)  # whether its body matters, its view knows
            return
        if arrival.data:
            log.info("a request of %s arrived too slowly", connection.client)
            with suppress(OSError):
                connection.sock.send(TOO_SLOW % (len(self.too_slow), self.too_slow))
        self._forget(connection)
        self._let_go(connection)

    def _serve(self, connection: TConn, arrival: Arrival, *, hung_up: bool = False) -> None:
        """Give a request a thread."""
        self._forget(connection)
        connection.parser.unreader = ArrivedBytes(arrival, hung_up=hung_up)
        connection.data_ready = True
        self.enqueue_req(connection)

    # Answers that are read

    def _send_on(self, connection: TConn, client: ClientSocket) -> None:
        try:
            client.flush()
        except OSError:
            self._close(connection)
            return
        if not client.has_unsent:
            future = self._reading[connection]
            self._forget(connection)
            self.finish_request(connection, future)

    # The end of connections

    def _let_go(self, connection: TConn) -> None:
        """Close our side, and the connection once the client has closed its own."""
        try:
            connection.sock.setblocking(False)
            connection.sock.shutdown(socket.SHUT_WR)
            if self._has_hung_up(connection):
                self._close(connection)
                return
            self.poller.register(
                connection.sock, selectors.EVENT_READ, partial(self._discard, connection)
            )
        except (OSError, ValueError):  # the client is gone, or the listeners have it
            self._close(connection)
            return
        self._closing[connection] = time.monotonic() + LINGER_SECONDS

    def _discard(self, connection: TConn, client: socket.socket) -> None:
        if self._has_hung_up(connection):
            self._close(connection)

    @staticmethod
    def _has_hung_up(connection: TConn) -> bool:
        try:
            return not connection.sock.recv(READ_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _close(self, connection: TConn) -> None:
        self._forget(connection)
        self.nr_conns -= 1
        connection.close()

    def _forget(self, connection: TConn) -> None:
        self._arriving.pop(connection, None)
        self._reading.pop(connection, None)
        self._closing.pop(connection, None)
        with suppress(KeyError, ValueError, OSError):  # not registered, or closed by the client
            self.poller.unregister(connection.sock)

    def _cannot_accept(self, error: OSError) -> None:
        if error.errno in (errno.EMFILE, errno.ENFILE):
            if not self._no_descriptors:
                log.error("a client is not served: %s", error.strerror)
            self._no_descriptors = True
            time.sleep(0.01)  # the listener stays readable
        elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
            raise error
