"""Follows a file: what is changed in it counts without a restart, if it can be used."""

import logging
import os
import time
from collections.abc import Callable
from math import inf
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

from .errors import OperatorError

Value = TypeVar("Value")
log = logging.getLogger(__name__)


class FollowedFile(Generic[Value]):
    """What a file last said that could be used.

    Threads may share it: one of them looks at the file, the others keep to the old value.

    Args:
        path: The file.
        parse: Turns its text into the value.
        error: What to raise, with one line, if the file cannot be read.
        contents: What it holds, for the log, such as ``rules``.
        optional: It counts as ``{}`` for as long as it does not exist; once there, it must stay.
        monotonic: Clock in seconds.

    Attributes:
        value: The last one that could be used.

    Raises:
        OperatorError: The file cannot be used now, at the start.
    """

    def __init__(
        self,
        path: Path,
        parse: Callable[[str], Value],
        *,
        error: type[OperatorError],
        contents: str,
        optional: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._parse = parse
        self._error = error
        self._contents = contents
        self._may_be_missing = optional and not os.path.exists(path)
        self._monotonic = monotonic
        self._looked_at = monotonic()
        self._looking = Lock()
        self._problem = ""
        text = self._read()
        self._text: str | None = text
        self.value = parse(text)

    def look(self, every_seconds: float) -> bool:
        """Read the file again, unless somebody does, or did less than ``every_seconds`` ago.

        Content that cannot be used changes nothing, and is logged once.

        Returns:
            Whether it was read.
        """
        due = self._monotonic() - self._looked_at >= every_seconds
        if not due or not self._looking.acquire(blocking=False):
            return False
        try:
            self._looked_at = self._monotonic()
            self._take()
        finally:
            self._looking.release()
        return True

    def look_at_next_call(self) -> None:
        """Let the next ``look`` read the file; safe in a signal handler."""
        self._looked_at = -inf

    def _read(self) -> str:
        path = self._path
        # a reader of these may have to wait; pathlib would raise where nobody may look
        if os.path.exists(path) and not (os.path.isfile(path) or os.path.isdir(path)):
            raise self._error(f"{path} cannot be read: it is a pipe or a device, put a file there")
        return read_text(path, self._error, optional=self._may_be_missing)

    def _take(self) -> None:
        text = None
        try:
            text = self._read()
            if text == self._text:
                return
            self.value = self._parse(text)
        except OperatorError as error:
            if str(error) != self._problem:
                log.error("%s; the last good %s stay in force", error, self._contents)
            self._problem = str(error)
        else:
            self._problem = ""
            self._may_be_missing = False
            log.info("%s was read again: new %s are in force", self._path, self._contents)
        finally:
            self._text = text


def read_text(path: Path, error: type[OperatorError], *, optional: bool = False) -> str:
    """Return what stands in a file.

    Args:
        path: The file.
        error: What to raise, with one line, if it cannot be read.
        optional: It counts as ``{}`` if it does not exist.
    """
    try:
        return path.read_text("utf-8")
    except OSError as reason:
        if optional and isinstance(reason, FileNotFoundError | NotADirectoryError):
            return "{}"
        raise error(f"{path} cannot be read: {reason.strerror}") from reason
    except UnicodeDecodeError as reason:
        what = f"it is no UTF-8 text, from byte {reason.start + 1} on"
        raise error(f"{path} cannot be read: {what}") from reason
