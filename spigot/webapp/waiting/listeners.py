"""Clients that wait for jobs: two threads a process serve them all, whatever their number.

One hears from the server which jobs changed (``JobChanges``). The other, here, holds the
connections: it reads the changed jobs, once each, and says what is to be said. The thread of the
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
from .listener import Listener
from .talk import Talk

log = logging.getLogger(__name__)

READ_AT_ONCE = 100
LAST_WORDS_SECONDS = 0.2
CLOSE_SECONDS = 10.0
AFTER_FAULT_SECONDS = 0.5


class Listeners:
    """The connections of this process whose clients wait; the threads start with the first.

    Args:
        reader: Reads the jobs.
        events: Hears of changes.
        most: How many are served at once: each takes a file descriptor.
    """

    def __init__(self, reader: JobReader, events: JobEvents, most: int) -> None:
        self._reader = reader
        self._changes = JobChanges(events, self._wake)
        self._most = most
        self._lock = threading.Lock()
        self._arrivals: list[Listener] = []
        self._by_job: dict[str, set[Listener]] = defaultdict(set)
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

    def park(self, connection: socket.socket, talk: Talk, headers: Headers) -> None:
        """Take over a connection; returns at once.

        Args:
            connection: Nobody else may use it any more.
            talk: What to say on it.
            headers: Of the answer, as the application completed them.
        """
        listener = Listener(connection, talk, talk.begin(headers))
        with self._lock:
            if self._closing:
                listener.close()
                return
            self._start()
            self._count += 1
            self._arrivals.append(listener)
        self._wake()

    def close(self) -> None:
        """Say the last words on each connection and close it."""
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
            self._thread = threading.Thread(target=self._serve, name="listeners", daemon=True)
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
                log.exception("the listeners could not be served, trying again")
                time.sleep(AFTER_FAULT_SECONDS)
        self._stop()

    def _serve_once(self) -> None:
        for key, ready in self._selector.select(self._seconds_to_next()):
            if key.data is None:
                self._woken.recv(4096)
            else:
                self._attend(key.data, ready)
        self._welcome()
        self._keep_time()
        self._read_and_tell()

    def _seconds_to_next(self) -> float:
        due = [listener.talk.due for listener in self._all() if not listener.talk.ended]
        due += [listener.due for listener in self._all() if listener.has_unsent]
        return max(0.0, min([*due, self._changes.due, time.monotonic() + 60]) - time.monotonic())

    def _attend(self, listener: Listener, ready: int) -> None:
        try:
            if ready & selectors.EVENT_READ:
                listener.hear()
            if ready & selectors.EVENT_WRITE:
                listener.flush()
        except OSError:
            self._drop(listener)
        else:
            self._after(listener)

    def _welcome(self) -> None:
        """Take in those who came since the last time."""
        with self._lock:
            arrivals, self._arrivals = self._arrivals, []
        for listener in arrivals:
            self._by_job[listener.talk.job_id].add(listener)
            self._changes.watch(listener.talk.job_id)
            self._selector.register(listener.connection, selectors.EVENT_READ, listener)
            self._say(listener, bytes)  # nothing but the opening, which is not sent yet

    def _keep_time(self) -> None:
        now = time.monotonic()
        for listener in self._all():
            if listener.is_stalled:
                self._drop(listener)
            elif listener.talk.due <= now and not listener.talk.ended:
                self._say(listener, listener.talk.on_time)

    def _read_and_tell(self) -> None:
        wanted = {talk.job_id for talk in (one.talk for one in self._all()) if talk.wants_job}
        ids = list(wanted | self._changes.take())
        for begin in range(0, len(ids), READ_AT_ONCE):
            batch = ids[begin : begin + READ_AT_ONCE]
            try:
                found = self._reader.read_many(batch)
            except RedisError as error:
                log.debug("jobs cannot be read: %s", error)
                self._changes.could_not_read(ids[begin:])
                self._tell_that_the_server_is_away(ids[begin:])
                return
            for job_id, job in zip(batch, found, strict=True):
                for listener in self._who_wait_for(job_id):
                    self._say(listener, partial(listener.talk.on_job, job))

    def _tell_that_the_server_is_away(self, ids: list[str]) -> None:
        for job_id in ids:
            for listener in self._who_wait_for(job_id):
                self._say(listener, listener.talk.on_server_away)

    def _say(self, listener: Listener, words: Callable[[], bytes]) -> None:
        try:
            listener.say(words())
        except OSError:
            self._drop(listener)
        except Exception:  # must not keep the others from being told
            log.exception("a client that waits for job %s is dropped", listener.talk.job_id)
            self._drop(listener)
        else:
            self._after(listener)

    def _after(self, listener: Listener) -> None:
        """Drop a listener that has been told all, and wait for one that is slow."""
        if listener.is_done:
            self._drop(listener)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if listener.has_unsent else 0)
        if self._selector.get_key(listener.connection).events != events:
            self._selector.modify(listener.connection, events, listener)

    def _drop(self, listener: Listener) -> None:
        job_id = listener.talk.job_id
        self._selector.unregister(listener.connection)
        listener.close()
        self._changes.unwatch(job_id)
        self._by_job[job_id].discard(listener)
        if not self._by_job[job_id]:
            del self._by_job[job_id]
        with self._lock:
            self._count -= 1

    def _who_wait_for(self, job_id: str) -> list[Listener]:
        return [one for one in self._by_job.get(job_id, ()) if not one.talk.ended]

    def _all(self) -> list[Listener]:
        return [listener for group in self._by_job.values() for listener in group]

    def _stop(self) -> None:
        for listener in [*self._all(), *self._arrivals]:
            listener.last_words(LAST_WORDS_SECONDS)
            listener.close()
        self._selector.close()
        self._woken.close()
