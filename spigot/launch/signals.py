"""The signals a supervisor waits for."""

import select
import signal
import socket
import time
from types import FrameType, TracebackType
from typing import Self

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

DEBOUNCE_SECONDS = 1.0
"""A terminal and a service manager may both send the signal of one stop."""


class Signals:
    """Notes signals that ask to stop, and wakes ``wait`` at these and at the end of a child.

    Used as a context manager, in the main thread.

    Attributes:
        stop_requested: Whether SIGINT, SIGTERM or SIGHUP has come (not SIGHUP under ``nohup``).
        insisted: Whether one of them has come again, more than a second later.
    """

    def __init__(self) -> None:
        self.stop_requested = False
        self.insisted = False
        self._requested_at = 0.0

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        watched = [s for s in STOP_SIGNALS if s != signal.SIGHUP or not _is_ignored(s)]
        self._handlers_before = {s: signal.signal(s, self._request_stop) for s in watched}
        # Only a signal with a handler wakes.
        self._handlers_before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, _take_note)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for signal_number, handler in self._handlers_before.items():
            signal.signal(signal_number, handler)
        signal.set_wakeup_fd(self._wakeup_before)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float) -> None:
        """Return at the next signal, or after ``seconds``."""
        ready, _, _ = select.select([self._reader], [], [], seconds)
        if ready:
            self._reader.recv(4096)

    def _request_stop(self, signal_number: int, frame: FrameType | None) -> None:
        if not self.stop_requested:
            self.stop_requested, self._requested_at = True, time.monotonic()
        elif time.monotonic() - self._requested_at > DEBOUNCE_SECONDS:
            self.insisted = True


def _is_ignored(signal_number: int) -> bool:
    return signal.getsignal(signal_number) is signal.SIG_IGN


def _take_note(signal_number: int, frame: FrameType | None) -> None:
    pass
