"""Child processes that end when their parent does, even when that was killed with SIGKILL.

Linux only; elsewhere a child outlives a parent that had no time to stop it.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

PR_SET_PDEATHSIG = 1


def start_child(
    command: Sequence[str], *, death_signal: int = signal.SIGKILL, **options: Any
) -> subprocess.Popen[bytes]:
    """Start ``command`` so that it ends with this process.

    No shell stands in between: the process id is that of the command. It gets a session of its
    own, which keeps a terminal's Ctrl-C away from it.

    Args:
        command: Program and arguments.
        death_signal: What the child is sent when this process ends before it.
        **options: Passed on to ``subprocess.Popen``.

    Raises:
        RuntimeError: Called from a thread, whose end would count as the parent's.
    """
    if threading.current_thread() is not threading.main_thread():
        raise RuntimeError("a child dies with the thread that started it: use the main thread")
    # This file is run by its path and without site-packages: importing `jobs` takes far longer.
    # Popen's preexec_fn would do the same in a forked interpreter, which may deadlock.
    bound = [sys.executable, "-I", "-S", __file__, str(int(death_signal)), str(os.getpid())]
    return subprocess.Popen([*bound, *command], start_new_session=True, **options)


def die_with_parent(death_signal: int, parent_pid: int) -> None:
    """Have the kernel send this process ``death_signal`` when its parent ends.

    Call it right after a fork. It outlasts ``exec``, but is not inherited by children.

    Args:
        death_signal: Such as ``signal.SIGKILL``.
        parent_pid: Who the parent was at the fork; if that has ended since, the signal is sent
            at once.

    Raises:
        OSError: The kernel refused.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        os.kill(os.getpid(), death_signal)


def _become_command(death_signal: str, parent_pid: str, *command: str) -> None:
    die_with_parent(int(death_signal), int(parent_pid))
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(f"{command[0]} cannot be run: {error.strerror}")


if __name__ == "__main__":
    _become_command(*sys.argv[1:])
