"""The folder in which the web's processes keep their counters, so that each can show all."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from prometheus_client import values

from spigot.runtime.errors import OperatorError
from spigot.runtime.locked_file import lock_within

from .reserved_file import ReservedFile

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
"""Where prometheus-client looks for the folder."""

LOCK_SECONDS = 10.0
"""How long to wait for another web that starts, which has the lock for milliseconds."""


class MetricsFolderError(OperatorError):
    """The web cannot keep its counters; the message says where and why."""


@contextmanager
def metrics_folder(parent: Path) -> Iterator[Path]:
    """Have this process, and those forked from it, count in a fresh folder.

    It must be entered before the application is built. The folder is removed at the end; what
    killed runs left behind is removed at the next start.

    Args:
        parent: Made if need be.

    Raises:
        MetricsFolderError: No folder can be made there, or another process keeps the lock.
    """
    try:
        folder, lock = _fresh_folder(parent)
    except OSError as error:
        raise MetricsFolderError(f"the web keeps its counters in {parent}: {error}") from error
    os.environ[VARIABLE] = str(folder)
    # As prometheus-client documents for uWSGI: it chose when it was imported, which was too soon.
    values.ValueClass = values.MultiProcessValue()
    values.MmapedDict = ReservedFile  # type: ignore[attr-defined]
    owner = os.getpid()
    try:
        yield folder
    finally:
        if os.getpid() == owner:  # gunicorn's processes leave through here too
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


def _fresh_folder(parent: Path) -> tuple[Path, int]:
    parent.mkdir(parents=True, exist_ok=True)
    with _locked(parent):
        _remove_abandoned(parent)
        folder = Path(mkdtemp(dir=parent))
        # Held by every process that inherits it, until the last one is gone.
        lock = os.open(folder, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_SH)
    return folder, lock


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    file = os.open(folder, os.O_RDONLY)
    try:
        if not lock_within(file, LOCK_SECONDS):
            raise MetricsFolderError(
                f"the web keeps its counters in {folder}, and another process has had the lock of "
                f"that folder for {LOCK_SECONDS:.0f} s: end it, or let it go on if it was stopped"
            )
        yield
    finally:
        os.close(file)


def _remove_abandoned(parent: Path) -> None:
    for folder in parent.iterdir():
        file = os.open(folder, os.O_RDONLY)
        try:
            if lock_within(file, 0):  # or its processes live
                shutil.rmtree(folder)
        finally:
            os.close(file)
