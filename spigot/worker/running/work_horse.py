"""The work horse: a process forked for one attempt, which tells its outcome through a pipe.

It is forked before the slot and waits in it, so that the fork costs no time of the slot. It
needs no connection to the server: the worker does all bookkeeping.
"""

import os
import select
import signal
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from types import FrameType

from spigot.runtime.child_process import fork_child, signal_name
from spigot.runtime.stop_signals import StopSignals

from .outcome import Outcome

STARTED = b"started "
"""What the horse tells first, with the microseconds since its slot, on a line of its own."""

CHUNK_BYTES = 1 << 16


class WorkHorse:
    """One forked process, seen from the worker.

    Args:
        prepare: What it does ahead of its slot; returns what it does in it.
        start_at: When, on the monotonic clock of this machine.
        held: Asked then whether it is not to be done after all.

    Raises:
        OSError: No process can be forked now.
    """

    def __init__(
        self,
        prepare: Callable[[], Callable[[], Outcome]],
        start_at: float,
        held: Callable[[], bool] = lambda: False,
    ) -> None:
        self._pipe, writer = os.pipe()
        try:
            live = partial(_live, prepare, start_at, held, self._pipe, writer)
            self.pid = fork_child(leave_signals_to_worker, live)
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(writer)
        os.set_blocking(self._pipe, False)
        self._received = bytearray()
        self._silent = False
        self._ended = False
        self.wait_status = 0
        self.rusage: object = None

    @property
    def started(self) -> bool:
        """Whether the function was called, as far as is known."""
        return self.late_us is not None

    @property
    def late_us(self) -> int | None:
        """Microseconds from the slot to the call of the function; None if it was not called."""
        line, end, _ = self._received.partition(b"\n")
        return int(line.removeprefix(STARTED)) if end else None

    @property
    def outcome(self) -> Outcome | None:
        """What it told; None if it died before it could, or had closed its pipe."""
        try:
            return Outcome.from_bytes(bytes(self._received.partition(b"\n")[2]))
        except ValueError:
            return None

    @property
    def cannot_tell(self) -> bool:
        """Whether it lived to the end of its function, but could not tell the outcome."""
        return self._ended and os.waitstatus_to_exitcode(self.wait_status) == os.EX_IOERR

    @property
    def held_back(self) -> bool:
        """Whether it ended before it called its function, because its bucket was held."""
        if self.started or not self._ended:
            return False
        return os.waitstatus_to_exitcode(self.wait_status) == os.EX_TEMPFAIL

    @property
    def end(self) -> str:
        """How it ended, for people: ``was killed by SIGKILL``, ``exited with 1``."""
        code = os.waitstatus_to_exitcode(self.wait_status)
        return f"was killed by {signal_name(-code)}" if code < 0 else f"exited with {code}"

    def wait(self, seconds: float, stop: StopSignals) -> bool:
        """Wait until it has ended, at most ``seconds``, or until a signal comes.

        Returns:
            Whether it has ended.
        """
        if not self._ended:
            wake = [stop.wake_fd] if threading.current_thread() is threading.main_thread() else []
            open_ends = wake if self._silent else [self._pipe, *wake]
            ready, _, _ = select.select(open_ends, [], [], seconds)
            if stop.wake_fd in ready:
                stop.drain()
            if self._pipe in ready:
                self._read()
            self._collect_status(os.WNOHANG)
        return self._ended

    def kill(self) -> None:
        """End it and what it started, at once; safe from any thread and signal handler."""
        if not self._ended:
            self._kill_group()
            with suppress(ProcessLookupError):  # it may have no group of its own yet
                os.kill(self.pid, signal.SIGKILL)

    def reap(self) -> None:
        """End it if it has not ended, and free what it held."""
        if not self._ended:
            self.kill()
            self._collect_status(0)
        os.close(self._pipe)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)

    def _collect_status(self, options: int) -> None:
        pid, status, rusage = os.wait4(self.pid, options)
        if not pid:
            return
        self._ended = True
        self.wait_status, self.rusage = status, rusage
        if os.WIFSIGNALED(status):
            self._kill_group()  # what it started must not run beside the next attempt
        self._read()

    def _read(self) -> None:
        with suppress(BlockingIOError):
            while chunk := os.read(self._pipe, CHUNK_BYTES):
                self._received += chunk
            self._silent = True


def _live(
    prepare: Callable[[], Callable[[], Outcome]],
    start_at: float,
    held: Callable[[], bool],
    reader: int,
    writer: int,
) -> int:
    """Be the horse; return its exit status."""
    os.close(reader)
    os.setpgrp()
    run = prepare()
    time.sleep(max(0, start_at - time.monotonic()))
    if held():
        return os.EX_TEMPFAIL
    horse = os.getpid()
    os.write(writer, b"%s%d\n" % (STARTED, (time.monotonic() - start_at) * 1_000_000))
    told = memoryview(run().to_bytes())
    if os.getpid() != horse:  # the function forked, and its child came back too
        os._exit(0)
    try:
        while told:
            told = told[os.write(writer, told) :]
    except OSError:
        traceback.print_exc()
        return os.EX_IOERR
    return 0


def leave_signals_to_worker() -> None:
    """Leave SIGTERM and SIGINT to the worker, which gives a running function its grace time.

    A service manager that stops a service may send SIGTERM to each of its processes.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    horse = os.getpid()

    def leave_to_worker(number: int, frame: FrameType | None) -> None:
        if os.getpid() != horse:  # a process that the function forked, as multiprocessing does
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    # not SIG_IGN, which programs that the function starts would inherit
    signal.signal(signal.SIGTERM, leave_to_worker)
    signal.signal(signal.SIGINT, leave_to_worker)
