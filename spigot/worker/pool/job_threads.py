"""Threads that run functions, kept warm, and the exception that ends a function in one.

A new thread must wait for the interpreter's lock before whoever starts it can go on, which takes
ten milliseconds beside one that computes: so threads are made before they are needed. All take
attempts from one inbox, so that one which has just ended a short function goes on with the next
attempt, while the others sleep.

Coroutine functions run elsewhere, but are prepared here: one thread does that for one after the
other, and if one of them takes long, those behind it go to another.
"""

import ctypes
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from math import inf
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any

from spigot.worker.running.function_call import Interrupted

from .attempt import Attempt

Work = Callable[["JobThread", Attempt], None]
Inbox = SimpleQueue[Attempt]
SetAsyncExc = ctypes.pythonapi.PyThreadState_SetAsyncExc
DEEPEST_FRAME = 8
SPARE = 2

PREPARE_SECONDS = 0.3
"""How long the preparation of one attempt may keep others waiting."""


class JobThread:
    """One thread; it runs one attempt after the other.

    Args:
        work: What it does with an attempt.
        on_free: Called when it has done that.
        inbox: Where it gets attempts from.
        name: Its name.

    Attributes:
        inbox: As given; another one counts from its next attempt on.
        is_lost: Whether its function does not end.
        busy_since: Monotonic seconds since which it works at an attempt; infinite if at none.
    """

    def __init__(
        self, work: Work, on_free: Callable[["JobThread"], None], inbox: Inbox, name: str
    ) -> None:
        self._work = work
        self._on_free = on_free
        self.inbox = inbox
        self._mutex = threading.Lock()
        self._interruptible: object = None
        self.is_lost = False
        self.busy_since = inf
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, key: object, function: Callable[[], Any]) -> Any:
        """Call a function that ``interrupt`` may end; only in this thread.

        Args:
            key: What ``interrupt`` names it by.
            function: Without arguments.

        Raises:
            Interrupted: It was ended. After the return none is raised any more, however late the
                interpreter delivers it (gh-139622): hence the loop.
        """
        before = self._interruptible
        interrupted: Interrupted | None = None
        value = None
        try:
            with self._mutex:
                self._interruptible = key
            value = function()
        except Interrupted as error:
            interrupted = error
        finally:
            while True:
                try:
                    with self._mutex:
                        self._interruptible = before
                    _set_exception(threading.get_ident(), None)
                    break
                except Interrupted as error:
                    interrupted = error
        if interrupted is not None:
            raise interrupted
        return value

    def interrupt(self, key: object) -> None:
        """End the function of that key, if it runs: by an exception, and by the end of its socket.

        An exception is not delivered in a call that waits; one that waits for a socket returns
        when that is shut down.
        """
        ident = self._thread.ident
        with self._mutex:
            if self._interruptible is not key or ident is None:
                return
            _set_exception(ident, Interrupted)
            for waiting in _sockets_of(sys._current_frames().get(ident)):
                with suppress(OSError):
                    waiting.shutdown(socket.SHUT_RDWR)

    def _run(self) -> None:
        while True:
            attempt = self.inbox.get()
            self.busy_since = time.monotonic()
            try:
                copy_context().run(self._work, self, attempt)
            finally:
                self._on_free(self)
            del attempt


class JobThreads:
    """As many threads as attempts need, and two that wait for the next ones.

    Args:
        work: What a thread does with an attempt.
        most: No spare thread is made beyond so many.
    """

    def __init__(self, work: Work, most: int) -> None:
        self._work = work
        self._most = most
        self._inbox: Inbox = SimpleQueue()
        self._idle = 0
        self._made = 0
        self._mutex = threading.Lock()
        self._preparer: JobThread | None = None

    def top_up(self) -> None:
        """Make threads before they are needed."""
        while self._idle < min(SPARE, self._most) and self._made < self._most + SPARE:
            self._make(self._inbox)
            with self._mutex:
                self._idle += 1

    def run(self, attempt: Attempt) -> None:
        """Have an attempt run in a thread, which is idle now or is made for it."""
        with self._mutex:
            is_one_idle = self._idle > 0
            self._idle -= is_one_idle
        if not is_one_idle:
            self._make(self._inbox)
        self._inbox.put(attempt)

    def prepare(self, attempt: Attempt) -> None:
        """Have an attempt prepared in a thread that does nothing else."""
        with self._mutex:
            self._prepare(attempt)

    def pass_on(self) -> None:
        """Let another thread prepare what waits behind an attempt that takes long."""
        with self._mutex:
            slow = self._preparer
            if slow is None or time.monotonic() - slow.busy_since < PREPARE_SECONDS:
                return
            waiting, slow.inbox = slow.inbox, self._inbox
            self._preparer = None
            with suppress(Empty):
                while True:
                    self._prepare(waiting.get_nowait())

    def lose(self, thread: JobThread) -> None:
        """Count a thread out whose function does not end."""
        thread.is_lost = True
        self._made -= 1

    def _prepare(self, attempt: Attempt) -> None:
        if self._preparer is None:
            self._preparer = self._make(SimpleQueue())
        self._preparer.inbox.put(attempt)

    def _make(self, inbox: Inbox) -> JobThread:
        self._made += 1
        return JobThread(self._work, self._free, inbox, f"job-{self._made}")

    def _free(self, thread: JobThread) -> None:
        if thread.is_lost:  # it came back after all
            thread.is_lost = False
            self._made += 1
        with self._mutex:
            thread.busy_since = inf
            if thread is not self._preparer:
                self._idle += 1


def _set_exception(ident: int, kind: type[BaseException] | None) -> None:
    raised = ctypes.py_object() if kind is None else ctypes.py_object(kind)
    SetAsyncExc(ctypes.c_ulong(ident), raised)


def _sockets_of(frame: FrameType | None) -> Iterator[socket.socket]:
    """Yield the sockets that the innermost frames of a thread work with."""
    for _ in range(DEEPEST_FRAME):
        if frame is None:
            return
        for value in list(frame.f_locals.values()):
            for found in (value, getattr(value, "_sock", None)):
                if isinstance(found, socket.socket) and found.fileno() >= 0:
                    yield found
        frame = frame.f_back
