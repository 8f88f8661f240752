"""Where the web of a running ``spigot up`` is, told to other commands by a file of its folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from spigot.runtime.locked_file import FileInUseError, Left, LockedFile, read_locked
from spigot.runtime.server.server_url import DataDirError

FILENAME = "web-url"


@contextmanager
def published_url(data_dir: Path, url: str) -> Iterator[None]:
    """Let other commands find the web at ``url`` within the block.

    Of several on one folder, which share a server of their own, the first is found.

    Raises:
        DataDirError: The folder cannot be used.
    """
    file = LockedFile(data_dir / FILENAME)
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        file.open()
    except FileInUseError:
        yield
        return
    except OSError as error:
        raise DataDirError(
            f"SPIGOT_DATA_DIR={data_dir} cannot be used: {error.strerror}"
        ) from error
    try:
        file.write(url)
        yield
    finally:
        file.close()


def find_web_url(data_dir: Path) -> str | None:
    """Return the URL of the web of the ``spigot up`` that runs on the folder; None if none does.

    Raises:
        DataDirError: The file that says so cannot be read.
    """
    left = find_running(data_dir)
    return left.text if left else None


def find_running(data_dir: Path) -> Left | None:
    """Return process id and URL of the ``spigot up`` that runs on the folder; None if none does.

    Raises:
        DataDirError: The file that says so cannot be read.
    """
    try:
        return read_locked(data_dir / FILENAME)
    except OSError as error:
        raise DataDirError(
            f"SPIGOT_DATA_DIR={data_dir} cannot be used: {error.strerror}"
        ) from error
