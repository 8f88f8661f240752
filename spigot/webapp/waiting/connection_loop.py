"""Clients that wait for jobs: two threads a process serve them all, whatever their number.

One receives from the server which jobs changed (``JobChanges``). The other, here, holds the
connections: it reads the changed jobs, once each, and sends what follows. The thread of the
request that brought a client is free again at once.
"""

import atexit
import logging
import selectors
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from redis.exceptions import RedisError
from werkzeug.datastructures import Headers

from spigot.jobs.job.events import JobEvents
from spigot.jobs.job.state import JobReader

from .job_changes import JobChanges
from .parked_connection import ParkedConnection
from .waiting_response import WaitingResponse

log = logging.getLogger(__name__)

READ_AT_ONCE = 100
STOP_SECONDS = 0.2
CLOSE_SECONDS = 10.0
AFTER_FAULT_SECONDS = 0.5


class ConnectionLoop:
    """The connections of this process whose clients wait; the threads start with the first.

    Args:
        reader: Reads the jobs.
        events: Receives changes.
        most: How many are served at once: each takes a file descriptor.
    """

    def __init__(self, reader: JobReader, events: JobEvents, most: int) -> None:
        self._reader = reader
        self._changes = JobChanges(events, self._wake)
        self._most = most
        self._lock = threading.Lock()
        self._arrivals: list[ParkedConnection] = []
        self._by_job: dict[str | None, set[ParkedConnection]] = defaultdict(set)
        self._count = 0
        self._closing = False
        self._thread: threading.Thread | None = None

    @property
    def count(self) -> int:
        """How many clients wait."""
        return self._count

    @property
    def is_full(self) -> bool:
        """Whether no more can be served."""
        return self._count >= self._most

    def park(self, client: socket.socket, response: WaitingResponse, headers: Headers) -> None:
        """Take over a connection; returns at once.

        Args:
            client: Its socket; nobody else may use it any more.
            response: What to send on it.
            headers: Of the answer, as the application completed them.
        """
        connection = ParkedConnection(client, response, response.begin(headers))
        with self._lock:
            if self._closing:
                connection.close()
                return
            self._start()
            self._count += 1
            self._arrivals.append(connection)
        self._wake()

    def close(self) -> None:
        """Finish each response and close its connection."""
        with self._lock:
            self._closing = True
            thread, self._thread = self._thread, None
        if thread is not None:
            self._changes.close()
            self._wake()
            thread.join(CLOSE_SECONDS)
            self._waker.close()
            atexit.unregister(self.close)

    def _start(self) -> None:
        """Start the thread: after the fork of the web process, and only if it is needed."""
        if self._thread is None:
            self._selector = selectors.DefaultSelector()
            self._woken, self._waker = socket.socketpair()
            self._woken.setblocking(False)
            self._waker.setblocking(False)
            self._selector.register(self._woken, selectors.EVENT_READ)
            self._thread = threading.Thread(target=self._serve, name="waiting-clients", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def _wake(self) -> None:
        with suppress(OSError):  # full: it will wake; closed: it has ended
            self._waker.send(b"x")

    def _serve(self) -> None:
        while not self._closing:
            try:
                self._serve_once()
            except Exception:  # this thread holds everybody's connection
                log.exception("waiting clients could not be served, trying again")
                time.sleep(AFTER_FAULT_SECONDS)
        self._stop()

    def _serve_once(self) -> None:
        for key, ready in self._selector.select(self._seconds_to_next()):
            if key.data is None:
                self._woken.recv(4096)
            else:
                self._on_ready(key.data, ready)
        self._register_arrivals()
        self._on_time()
        self._read_changed_jobs()

    def _seconds_to_next(self) -> float:
        due = [one.response.due for one in self._all() if not one.response.ended]
        due += [one.due for one in self._all() if one.has_unsent]
        return max(0.0, min([*due, self._changes.due, time.monotonic() + 60]) - time.monotonic())

    def _on_ready(self, connection: ParkedConnection, ready: int) -> None:
        try:
            if ready & selectors.EVENT_READ:
                connection.on_readable()
            if ready & selectors.EVENT_WRITE:
                connection.flush()
        except OSError:
            self._drop(connection)
        else:
            self._await_next(connection)

    def _register_arrivals(self) -> None:
        """Take in those who came since the last time."""
        with self._lock:
            arrivals, self._arrivals = self._arrivals, []
        for connection in arrivals:
            job_id = connection.response.job_id
            self._by_job[job_id].add(connection)
            if job_id is not None:
                self._changes.watch(job_id)
            self._selector.register(connection.socket, selectors.EVENT_READ, connection)
            self._send(connection, bytes)  # nothing but the opening, which is not sent yet

    def _on_time(self) -> None:
        now = time.monotonic()
        for connection in self._all():
            if connection.is_stalled:
                self._drop(connection)
            elif connection.response.due <= now and not connection.response.ended:
                self._send(connection, connection.response.on_time)

    def _read_changed_jobs(self) -> None:
        wanted = {one.response.job_id for one in self._all() if one.response.wants_job}
        ids = [job_id for job_id in wanted | self._changes.take() if job_id is not None]
        for begin in range(0, len(ids), READ_AT_ONCE):
            batch = ids[begin : begin + READ_AT_ONCE]
            try:
                found = self._reader.read_many(batch)
            except RedisError as error:
                log.debug("jobs cannot be read: %s", error)
                self._changes.could_not_read(ids[begin:])
                self._report_away_server(ids[begin:])
                return
            for job_id, job in zip(batch, found, strict=True):
                for connection in self._waiting_for(job_id):
                    self._send(connection, partial(connection.response.on_job, job))

    def _report_away_server(self, ids: list[str]) -> None:
        for job_id in ids:
            for connection in self._waiting_for(job_id):
                self._send(connection, connection.response.on_server_away)

    def _send(self, connection: ParkedConnection, next_bytes: Callable[[], bytes]) -> None:
        try:
            connection.send(next_bytes())
        except OSError:
            self._drop(connection)
        except Exception:  # must not keep the others from being told
            log.exception("a client that waits for job %s is dropped", connection.response.job_id)
            self._drop(connection)
        else:
            self._await_next(connection)

    def _await_next(self, connection: ParkedConnection) -> None:
        """Drop a connection whose response is complete, and wait for one that is slow."""
        if connection.is_done:
            self._drop(connection)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.has_unsent else 0)
        if self._selector.get_key(connection.socket).events != events:
            self._selector.modify(connection.socket, events, connection)

    def _drop(self, connection: ParkedConnection) -> None:
        job_id = connection.response.job_id
        self._selector.unregister(connection.socket)
        connection.close()
        if job_id is not None:
            self._changes.unwatch(job_id)
        self._by_job[job_id].discard(connection)
        if not self._by_job[job_id]:
            del self._by_job[job_id]
        with self._lock:
            self._count -= 1

    def _waiting_for(self, job_id: str) -> list[ParkedConnection]:
        return [one for one in self._by_job.get(job_id, ()) if not one.response.ended]

    def _all(self) -> list[ParkedConnection]:
        return [connection for group in self._by_job.values() for connection in group]

    def _stop(self) -> None:
        for connection in [*self._all(), *self._arrivals]:
            connection.finish(STOP_SECONDS)
            connection.close()
        self._selector.close()
        self._woken.close()
