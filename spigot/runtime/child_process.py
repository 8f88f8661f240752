"""Child processes that end when their parent does, even when that was killed with SIGKILL.

Linux only; elsewhere a child outlives a parent that had no time to stop it.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NoReturn

PR_SET_PDEATHSIG = 1

HELD_BACK = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
"""Signals that a fork holds back until the child has handlers of its own."""


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


def fork_child(take_signals: Callable[[], None], live: Callable[[], int]) -> int:
    """Fork a process that ends with this one; call it from the main thread.

    Args:
        take_signals: Called in the child first: sets handlers for ``HELD_BACK``, which are this
            process's own before, and would note there what nobody reads.
        live: Called in the child; returns its exit status. What it raises is printed, and its
            status is 1.

    Returns:
        The process id of the child.

    Raises:
        OSError: No process can be forked now.
    """
    sys.stdout.flush()  # or the child would write what is buffered, too
    sys.stderr.flush()
    parent = os.getpid()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    try:
        pid = os.fork()
        if pid == 0:
            _be_child(take_signals, live, parent, mask)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return pid


def _be_child(
    take_signals: Callable[[], None], live: Callable[[], int], parent: int, mask: set[int]
) -> NoReturn:
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        take_signals()
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        die_with_parent(signal.SIGKILL, parent)
        status = live()
    except BaseException:
        with suppress(Exception):
            sys.__excepthook__(*sys.exc_info())
    finally:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # a function may have closed it
                stream.flush()
        os._exit(status)


def describe_end(returncode: int) -> str:
    """Return how a process ended, in words.

    Args:
        returncode: Its exit status; negative for the number of the signal that killed it.
    """
    if returncode < 0:
        return f"was killed by {signal_name(-returncode)}"
    return f"ended with status {returncode}"


def signal_name(number: int) -> str:
    """Return ``SIGKILL`` for 9; those between SIGRTMIN and SIGRTMAX have a number only."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


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
