"""Which server the processes share: the one that is set, or the one that ``spigot up`` runs.

``spigot up`` leaves the URL of its embedded server in a file of the data folder. The file is
locked for as long as that server or its ``spigot up`` lives, and the lock goes with them even
after SIGKILL: a file that is not locked is left over from an earlier run.
"""

import re
from pathlib import Path
from typing import Self

from spigot.runtime.errors import OperatorError
from spigot.runtime.locked_file import FileInUseError, LockedFile, read_locked
from spigot.runtime.server_address import with_password
from spigot.runtime.settings import Settings

FILENAME = "server-url"
TAKEOVER_SECONDS = 1.0
"""How long a server may still hold its file after its ``spigot up`` was killed."""


class NoServerError(OperatorError):
    """There is no server to use; the message says how to get one."""


class DataDirError(OperatorError):
    """The data folder cannot be used, or another ``spigot up`` uses it; the message says which."""


def find_server_url(settings: Settings) -> str:
    """Return the URL of the server to use.

    Raises:
        NoServerError: ``REDIS_URL`` is not set and no ``spigot up`` runs on the data folder.
    """
    if settings.redis_url:
        return with_password(settings.redis_url, settings.redis_password)
    return _url_left_in(settings.data_dir / FILENAME)


def without_password(url: str) -> str:
    """Return ``url`` in a form that may be shown."""
    return re.sub("//.*@", "//***@", url.partition("?")[0])


class ServerUrlFile:
    """The file in which one ``spigot up`` leaves the URL of its server for the other commands.

    Used as a context manager: entering locks it, leaving empties it. Its descriptor
    (``fileno()``) is handed to the server as well, so that nobody starts a second server on
    the same files while the first one still lives.

    Args:
        data_dir: Created if it is missing.

    Raises:
        DataDirError: On entering.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._file = LockedFile(data_dir / FILENAME)

    def __enter__(self) -> Self:
        try:
            self._data_dir.mkdir(parents=True, exist_ok=True)
            self._file.open(TAKEOVER_SECONDS)
        except FileInUseError as error:
            raise DataDirError(
                f"another spigot up (process {error.owner}) runs on {self._data_dir}: stop it, or "
                "set SPIGOT_DATA_DIR to another folder"
            ) from error
        except OSError as error:
            raise DataDirError(
                f"SPIGOT_DATA_DIR={self._data_dir} cannot be used: {error.strerror}"
            ) from error
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def fileno(self) -> int:
        """Return the descriptor that holds the lock."""
        return self._file.fileno()

    def publish(self, url: str) -> None:
        """Let the other commands find the server at ``url``."""
        self._file.write(url)


def _url_left_in(path: Path) -> str:
    try:
        left = read_locked(path)
    except OSError as error:
        raise NoServerError(
            f"no server: {path} cannot be read: {error.strerror}; set REDIS_URL"
        ) from error
    if left is None:
        place = path.parent if path.is_absolute() else f"{path.parent} in {Path.cwd()}"
        raise NoServerError(
            f"no server: set REDIS_URL, or run `spigot up`; none runs on SPIGOT_DATA_DIR={place}"
        )
    if not left.text:
        raise NoServerError(
            f"no server yet: spigot up (process {left.owner}) is starting; try again"
        )
    return left.text
