"""Receives in a thread which of the jobs that clients wait for have changed."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from math import inf

from spigot.jobs.job.events import JobEvents

EVENT_WAIT_SECONDS = 1.0

LINGER_SECONDS = 30.0
"""How long changes are received after the last client left."""

READ_ALL_SECONDS = 20.0
"""How often all watched jobs are read: plain RQ tells nobody what it changes."""

RETRY_SECONDS = 0.5


class JobChanges:
    """The watched jobs, and which of them are to be read.

    Args:
        events: Used by the thread alone, which starts with the first watched job.
        wake: Called by the thread when jobs are to be read.
    """

    def __init__(self, events: JobEvents, wake: Callable[[], None]) -> None:
        self._events = events
        self._wake = wake
        self._lock = threading.Lock()
        self._needed = threading.Event()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._watched: Counter[str] = Counter()
        self._changed: set[str] = set()
        self._unread: set[str] = set()
        self._read_all_at = inf
        self._retry_at = inf
        self._left_at = 0.0

    @property
    def due(self) -> float:
        """Monotonic seconds at which ``take`` has something even if no job changes."""
        return min(self._read_all_at, self._retry_at)

    def watch(self, job_id: str) -> None:
        """Receive changes of a job, and have it read once: it may have changed before."""
        with self._lock:
            self._watched[job_id] += 1
            self._changed.add(job_id)
            self._read_all_at = min(self._read_all_at, time.monotonic() + READ_ALL_SECONDS)
            self._needed.set()
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._receive, name="job-events", daemon=True
                )
                self._thread.start()

    def unwatch(self, job_id: str) -> None:
        """Undo one ``watch``."""
        with self._lock:
            self._watched[job_id] -= 1
            if not self._watched[job_id]:
                del self._watched[job_id]
            if not self._watched:
                self._left_at, self._read_all_at = time.monotonic(), inf

    def take(self) -> set[str]:
        """Return the watched jobs that are to be read now."""
        now = time.monotonic()
        with self._lock:
            ids, self._changed = self._changed, set()
            if now >= self._read_all_at:
                self._read_all_at = now + READ_ALL_SECONDS
                ids |= self._watched.keys()
            if now >= self._retry_at:
                self._retry_at = inf
                ids |= self._unread
            self._unread -= ids
            return {job_id for job_id in ids if job_id in self._watched}

    def could_not_read(self, job_ids: Iterable[str]) -> None:
        """Have jobs read again a little later."""
        with self._lock:
            self._unread.update(job_ids)
            self._retry_at = time.monotonic() + RETRY_SECONDS

    def close(self) -> None:
        """End the thread."""
        self._closed = True
        self._needed.set()

    def _receive(self) -> None:
        while not self._closed:
            changed = self._events.wait(EVENT_WAIT_SECONDS)
            if self._note(changed):
                self._wake()
            if self._is_idle():
                self._events.close()
                self._needed.wait()
        self._events.close()

    def _note(self, changed: set[str] | None) -> bool:
        """Return whether a watched job is to be read."""
        with self._lock:
            if changed is None:
                changed = set(self._watched)
            self._changed |= {job_id for job_id in changed if job_id in self._watched}
            return bool(self._changed)

    def _is_idle(self) -> bool:
        with self._lock:
            idle = not self._watched and time.monotonic() > self._left_at + LINGER_SECONDS
            if idle and not self._closed:
                self._needed.clear()
            return idle
