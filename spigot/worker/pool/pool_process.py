"""The child of a pool, as its parent sees it: forked, told, heard, watched and ended."""

import gc
import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from spigot.runtime.child_process import describe_end, fork_child
from spigot.worker.running.work_horse import leave_signals_to_worker

from .child import Child, ChildTools, PoolPlan
from .messages import MessageReader, frame
from .shared_table import BEAT, INTERRUPT, LOOP_BEAT, SharedTable
from .stack_dump import StackDump

SEND_SECONDS = 20.0
"""How long a message may wait for a child that stands still; by then it was killed."""


class PoolProcess:
    """One child.

    Args:
        plan: What it is made of.
        places: How many attempts it runs at once.

    Attributes:
        pid: Its process id.
        places: As given.
        free_places: Those that no attempt has; ``Flights`` takes them and gives them back.
        table: Shared with it.
        begun_at: Monotonic seconds at which it was forked.
        taken: How many attempts it was given.
        is_retired: Whether it is given no more.
        wait_status: How it ended; None while it lives.

    Raises:
        OSError: No process can be forked now.
    """

    def __init__(self, plan: PoolPlan, places: int) -> None:
        self.places = places
        self.free_places = list(reversed(range(places)))
        self.table = SharedTable(places)
        self.begun_at = time.monotonic()
        self.taken = 0
        self.is_retired = False
        self.wait_status: int | None = None
        self._mutex = threading.Lock()
        for word in (BEAT, LOOP_BEAT):
            self.table.beat(word, self.begun_at)
        self._crash_report = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._stacks = StackDump()
        self._pipe, theirs = socket.socketpair()
        self._pipe.settimeout(SEND_SECONDS)
        report = self._crash_report.fileno()
        tools = ChildTools(plan, places, self.table, theirs, report, self._stacks)

        def live() -> int:
            os.setpgrp()
            self._pipe.close()
            return Child(tools).live()

        gc.freeze()  # pages that are shared stay so
        try:
            self.pid = fork_child(leave_signals_to_worker, live)
        except OSError:
            self._close()
            raise
        finally:
            theirs.close()
        self._reader = MessageReader(self._pipe)

    def fileno(self) -> int:
        """Return what can be read when it has told something, or has ended."""
        return self._pipe.fileno()

    def send(self, *message: Any) -> bool:
        """Send it a message; return whether it is there to read it. Safe from any thread."""
        with self._mutex:
            try:
                self._pipe.sendall(frame(message))
            except (OSError, ValueError):
                return False
        return True

    def receive(self) -> Iterator[tuple[Any, ...]]:
        """Yield what it has told, when there is something to read."""
        return self._reader.read()

    def receive_rest(self) -> Iterator[tuple[Any, ...]]:
        """Yield what it had told before it ended."""
        self._pipe.setblocking(False)
        while not self._reader.ended:
            told = list(self._reader.read())
            yield from told
            if not told:
                return

    @property
    def has_closed(self) -> bool:
        """Whether it has closed its end."""
        return self._reader.ended

    def has_ended(self) -> bool:
        """Return whether it has ended, and take note of how."""
        if self.wait_status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.wait_status = status
                self._kill_group()  # what it started must not run beside the next attempts
        return self.wait_status is not None

    @property
    def end(self) -> str:
        """How it ended, for people."""
        assert self.wait_status is not None
        return describe_end(os.waitstatus_to_exitcode(self.wait_status))

    def kill(self) -> None:
        """End it at once; safe from any thread and signal handler."""
        if self.wait_status is None:
            self._kill_group()
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def _kill_group(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def reap(self) -> None:
        """End it if it has not ended, and free what it held."""
        if self.wait_status is None:
            self.kill()
            _, self.wait_status = os.waitpid(self.pid, 0)
        self._close()

    def interrupt_loop(self) -> None:
        """Interrupt the coroutine that keeps the loop."""
        self.table[INTERRUPT] = 1
        if self.wait_status is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGUSR2)

    def stack_of(self, thread: int) -> str:
        """Return the stack of one of its threads; "" if it does not tell, or has ended."""
        return "" if self.wait_status is not None else self._stacks.ask(self.pid, thread)

    @property
    def crash_report(self) -> str:
        """What the interpreter wrote when it crashed; "" if it did not."""
        report = self._crash_report.fileno()
        size = os.fstat(report).st_size
        return os.pread(report, min(size, 1 << 20), 0).decode("utf-8", "replace")

    def _close(self) -> None:
        for file in (self._pipe, self._crash_report, self._stacks):
            file.close()
