"""The stack of one thread of a child that may stand still; the thread writes it itself.

The handler of a signal asks neither for the interpreter's lock nor for memory, so it writes even
if a function keeps the lock. ``faulthandler`` could write the stacks of all threads at once, but
others run meanwhile: what it reads of them vanishes under it, and the child crashes.
"""

import ctypes
import faulthandler
import os
import signal
import tempfile
import threading
import time
from contextlib import suppress

DUMP_SIGNAL = signal.SIGUSR1

WRITTEN_SECONDS = 0.5
"""How long a thread may take to write; one that does not run by then has no stack to show."""

LOOK_SECONDS = 0.01


class StackDump:
    """A file that both processes have open: make it before the fork."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._mutex = threading.Lock()

    def offer(self) -> None:
        """Have the threads of this process write their stacks when they are asked to."""
        faulthandler.register(DUMP_SIGNAL, file=self._file, all_threads=False, chain=False)

    def ask(self, process: int, thread: int) -> str:
        """Return the stack of a thread, the innermost call first.

        Args:
            process: The child.
            thread: One of its threads, as the kernel counts them; its first has its own number.

        Returns:
            The stack as ``faulthandler`` writes it; "" if none was written in 0.5 seconds, and
            after ``close``.
        """
        with self._mutex:
            if self._file.closed:
                return ""
            self._file.truncate(0)
            signal_thread(process, thread, DUMP_SIGNAL)
            given_up_at = time.monotonic() + WRITTEN_SECONDS
            text = ""
            while time.monotonic() < given_up_at:
                time.sleep(LOOK_SECONDS)
                before, text = text, self._read()
                if text and text == before:
                    break
            return text

    def close(self) -> None:
        """Free the file."""
        with self._mutex:
            self._file.close()

    def _read(self) -> str:
        size = os.fstat(self._file.fileno()).st_size
        written = os.pread(self._file.fileno(), min(size, 1 << 20), 0)
        return written.decode("utf-8", "replace").strip("\0")  # its place in the file grows


def signal_thread(process: int, thread: int, number: int) -> None:
    """Send a signal to one thread of a process; where that cannot be done, to its first only."""
    tgkill = getattr(ctypes.CDLL(None), "tgkill", None)
    if tgkill is not None:
        tgkill(process, thread, number)
    elif thread == process:
        with suppress(ProcessLookupError):
            os.kill(process, number)
