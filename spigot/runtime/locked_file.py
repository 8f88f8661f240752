"""A file in which a process says something that holds while it lives.

The file is locked for as long as that process lives, or a child that was handed the descriptor.
The lock goes with them even after SIGKILL: a file that is not locked is left over.
"""

import os
import time
from pathlib import Path
from typing import NamedTuple


class FileInUseError(Exception):
    """Another process holds the file.

    Attributes:
        owner: Its process id.
    """

    def __init__(self, owner: str) -> None:
        super().__init__(f"process {owner} holds the file")
        self.owner = owner


class Left(NamedTuple):
    """What the process that holds a file says.

    Attributes:
        owner: Its process id.
        text: Empty if it has not said anything yet.
    """

    owner: str
    text: str


class LockedFile:
    """A file that this process holds from ``open`` to ``close``; its owner alone may read it.

    Args:
        path: Created if it is missing.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def open(self, patience: float = 0) -> None:
        """Lock the file, and write our process id into it.

        Args:
            patience: Seconds to wait for another process that holds it.

        Raises:
            FileInUseError: Another process holds it still.
            OSError: The file cannot be used.
        """
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        if not lock_within(self._file, patience):
            owner = os.pread(self._file, 100, 0).split(b"\n")[0].decode() or "unknown"
            os.close(self._file)
            raise FileInUseError(owner)
        os.fchmod(self._file, 0o600)
        self.write("")

    def close(self) -> None:
        """Empty the file and let it go."""
        os.ftruncate(self._file, 0)
        os.close(self._file)

    def fileno(self) -> int:
        """Return the descriptor that holds the lock."""
        return self._file

    def write(self, text: str) -> None:
        """Say something in one line, in place of what was said before."""
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n{text}\n".encode(), 0)


def lock_within(file: int, seconds: float, *, pause: float = 0.02) -> bool:
    """Lock a file for this process alone; return whether that could be had.

    Args:
        file: Its descriptor, which holds the lock until it is closed.
        seconds: To wait for another process that holds it; 0 or less looks once.
        pause: Seconds between two looks.
    """
    deadline = time.monotonic() + seconds
    while not _try_lock(file, shared=False):
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
    return True


def read_locked(path: Path) -> Left | None:
    """Return what the process says that holds the file; None if none does.

    Raises:
        OSError: The file is there and cannot be read.
    """
    try:
        with path.open() as file:
            if _try_lock(file.fileno(), shared=True):
                return None
            lines = file.read().splitlines()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Left(lines[0] if lines else "unknown", lines[1] if len(lines) > 1 else "")


def _try_lock(file: int, *, shared: bool) -> bool:
    import fcntl  # Windows has none; there, nothing holds a file

    try:
        fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
