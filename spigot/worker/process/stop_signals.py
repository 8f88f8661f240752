"""SIGTERM and SIGINT: a first one asks to stop, a second one more than a second later insists."""

import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

DEBOUNCE_SECONDS = 1.0
"""A terminal and a supervisor may both send the signal of one Ctrl-C."""


class StopRequested(BaseException):
    """A wait ended because the worker is to stop; no error, and not to be handled as one."""


class StopSignals:
    """What the signals said.

    The handlers touch nothing but this object, raise nothing, and wait for nothing: not for the
    server, and not for a lock, which the code they interrupt may hold. What wakes a waiting
    process is a pipe, into which Python writes at every signal.

    Args:
        on_second: Called in the handler at a second signal; must not wait for anything either.
    """

    def __init__(self, on_second: Callable[[], None]) -> None:
        self.requested_at: float | None = None
        self._on_second = on_second
        self.wake_fd, self._write_fd = os.pipe()
        os.set_blocking(self.wake_fd, False)
        os.set_blocking(self._write_fd, False)

    def install(self) -> None:
        """Handle the signals from now on; only in the main thread."""
        signal.set_wakeup_fd(self._write_fd, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, _only_wake)  # the default would not write to the pipe
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._handle)

    @property
    def requested(self) -> bool:
        """Whether the worker is to stop."""
        return self.requested_at is not None

    def seconds_since(self) -> float:
        """Return how long ago the worker was asked to stop; 0 if it was not."""
        return time.monotonic() - self.requested_at if self.requested_at is not None else 0.0

    def requested_for(self, seconds: float) -> bool:
        """Return whether the worker was asked to stop, at least ``seconds`` ago."""
        return self.requested and self.seconds_since() >= seconds

    def wait(self, seconds: float) -> None:
        """Sleep, but not past a request to stop; only in the main thread."""
        until = time.monotonic() + seconds
        while not self.requested and (left := until - time.monotonic()) > 0:
            select.select([self.wake_fd], [], [], left)
            self.drain()

    def wait_readable(self, file: socket.socket, seconds: float) -> bool:
        """Wait until there is something to read; only in the main thread.

        Returns:
            False if there was nothing for ``seconds``.

        Raises:
            StopRequested: The worker is to stop.
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
            self._on_second()


def _only_wake(number: int, frame: FrameType | None) -> None:
    """The wake-up pipe has been written to; that is all."""
