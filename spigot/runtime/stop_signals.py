"""Signals that ask to stop: a first one asks, a second one more than a second later insists."""

import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType
from typing import Any, Self

LOOK_SECONDS = 0.1
"""How often threads other than the main one look whether they are to stop."""

DEBOUNCE_SECONDS = 1.0
"""A terminal and a supervisor may both send the signal of one Ctrl-C."""


class StopRequested(BaseException):
    """A wait ended because the process is to stop; no error, and not to be handled as one."""


class StopSignals:
    """What the signals said.

    The handlers touch nothing but this object, raise nothing, and wait for nothing: not for the
    server, and not for a lock, which the code they interrupt may hold. What wakes a waiting
    process is a pipe, into which Python writes at every signal, and at the end of a child.

    As a context manager, it handles the signals within its block only.

    Args:
        on_second: Called in the handler at a second signal; must not wait for anything either.
        numbers: The signals; only SIGHUP may be ignored, as ``nohup`` has it.

    Attributes:
        requested_at: Monotonic seconds of the first signal; None if none came.
        insisted: Whether a second one has come.
    """

    def __init__(
        self,
        on_second: Callable[[], None] = lambda: None,
        numbers: Sequence[int] = (signal.SIGTERM, signal.SIGINT),
    ) -> None:
        self.requested_at: float | None = None
        self.insisted = False
        self._on_second = on_second
        self._numbers = numbers
        self.wake_fd, self._write_fd = os.pipe()
        os.set_blocking(self.wake_fd, False)
        os.set_blocking(self._write_fd, False)

    def install(self) -> None:
        """Handle the signals from now on; only in the main thread."""
        self._wakeup_before = signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        # the default would not write to the pipe
        self._handlers_before: dict[int, Any] = {
            signal.SIGCHLD: signal.signal(signal.SIGCHLD, _only_wake)
        }
        for number in self._numbers:
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
                self._handlers_before[number] = signal.signal(number, self._handle)

    def __enter__(self) -> Self:
        self.install()
        return self

    def __exit__(self, *error: object) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        os.close(self.wake_fd)
        os.close(self._write_fd)

    @property
    def requested(self) -> bool:
        """Whether the process is to stop."""
        return self.requested_at is not None

    def seconds_since(self) -> float:
        """Return how long ago the process was asked to stop; 0 if it was not."""
        return time.monotonic() - self.requested_at if self.requested_at is not None else 0.0

    def requested_for(self, seconds: float) -> bool:
        """Return whether the process was asked to stop, at least ``seconds`` ago."""
        return self.requested and self.seconds_since() >= seconds

    def wait(self, seconds: float) -> None:
        """Sleep, but not past a request to stop."""
        until = time.monotonic() + seconds
        while not self.requested and (left := until - time.monotonic()) > 0:
            if threading.current_thread() is threading.main_thread():
                select.select([self.wake_fd], [], [], left)
                self.drain()
            else:  # the pipe wakes one thread only
                time.sleep(min(left, LOOK_SECONDS))

    def wait_for_any(self, seconds: float) -> None:
        """Wait for the next signal, of those to stop or of a child's end; only in the main thread.

        Args:
            seconds: At most.
        """
        ready, _, _ = select.select([self.wake_fd], [], [], seconds)
        if ready:
            self.drain()

    def wait_readable(self, file: socket.socket, seconds: float) -> bool:
        """Wait until there is something to read; only in the main thread.

        Returns:
            False if there was nothing for ``seconds``.

        Raises:
            StopRequested: The process is to stop.
        """
        until = time.monotonic() + seconds
        while not self.requested:
            left = until - time.monotonic()
            ready, _, _ = select.select([file.fileno(), self.wake_fd], [], [], max(0, left))
            if file.fileno() in ready or left <= 0:
                return file.fileno() in ready
            self.drain()
        raise StopRequested

    def drain(self) -> None:
        """Forget the signals that woke this process: they have been handled."""
        with suppress(BlockingIOError):
            os.read(self.wake_fd, 512)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested_at is None:
            self.requested_at = time.monotonic()
        elif self.seconds_since() > DEBOUNCE_SECONDS:
            self.insisted = True
            self._on_second()


def _only_wake(number: int, frame: FrameType | None) -> None:
    """The wake-up pipe has been written to; that is all."""
