"""Threads that run functions, kept warm, and the exception that ends a function in one.

A new thread must wait for the interpreter's lock before whoever starts it can go on, which takes
ten milliseconds beside one that computes: so threads are made before they are needed.
"""

import ctypes
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from types import FrameType
from typing import Any

from spigot.worker.running.function_call import Interrupted

from .attempt import Attempt

Work = Callable[["JobThread", Attempt], None]
SetAsyncExc = ctypes.pythonapi.PyThreadState_SetAsyncExc
DEEPEST_FRAME = 8
SPARE = 2


class JobThread:
    """One thread; it runs one attempt after the other.

    Args:
        work: What it does with an attempt.
        on_free: Called when it has done that.
    """

    def __init__(self, work: Work, on_free: Callable[["JobThread"], None], name: str) -> None:
        self._work = work
        self._on_free = on_free
        self._inbox: SimpleQueue[Attempt] = SimpleQueue()
        self._mutex = threading.Lock()
        self._interruptible: object = None
        self.is_lost = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def take(self, attempt: Attempt) -> None:
        """Run an attempt soon; does not wait."""
        self._inbox.put(attempt)

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
            attempt = self._inbox.get()
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
        self._idle: SimpleQueue[JobThread] = SimpleQueue()
        self._made = 0

    def top_up(self) -> None:
        """Make threads before they are needed."""
        while self._idle.qsize() < min(SPARE, self._most) and self._made < self._most + SPARE:
            self._idle.put(self._make())

    def run(self, attempt: Attempt) -> None:
        """Have an attempt run in a thread."""
        thread = self._make() if self._idle.empty() else self._idle.get()
        thread.take(attempt)

    def lose(self, thread: JobThread) -> None:
        """Count a thread out whose function does not end."""
        thread.is_lost = True
        self._made -= 1

    def _make(self) -> JobThread:
        self._made += 1
        return JobThread(self._work, self._free, f"job-{self._made}")

    def _free(self, thread: JobThread) -> None:
        if thread.is_lost:  # it came back after all
            thread.is_lost = False
            self._made += 1
        self._idle.put(thread)


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
