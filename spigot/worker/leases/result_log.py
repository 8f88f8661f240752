"""The result log: one JSON object per line, one line per ended attempt.

Many processes write it. A line goes through three places: the script that ends the attempt
leaves it in Redis (``keys.unlogged``), the worker appends it here, and then has it removed
there. So it is written at least once, and exactly once if nobody is killed in between.
"""

import errno
import json
import logging
import math
import os
import stat
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from spigot.runtime.locked_file import lock_within

log = logging.getLogger(__name__)

CHUNK_BYTES = 1 << 16

APPENDED_AT_ONCE = 32

KEPT_LINES = 100_000
"""Lines kept in memory while the file cannot be written; more stay in Redis alone, until this
worker has ended and another adopts them."""

LOCK_SECONDS = 1.0
"""How long another process may hold the lock; it does for a write of a few lines."""

LOCK_AGAIN_SECONDS = 0.2
"""The same while the file could not be written the last time."""

LOOK_SECONDS = 0.001


class ResultLog:
    """Appends lines whole. A disk that is full or a file that is locked away loses none.

    Args:
        path: The file; its folder is made if need be.
        max_bytes: A larger file is renamed to one with the time in its name; nothing is
            ever deleted.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._mutex = threading.Lock()
        self._pending: dict[str, bytes] = {}
        self._written: list[str] = []
        self._failing = False

    def write(self, token: str, line: bytes) -> Any:
        """Append a line, after those that could not be written before.

        Never raises: what goes wrong is logged once, and tried again at the next call.

        Args:
            token: Of the attempt; given out by ``written`` once the line is on disk.
            line: JSON, without line end.

        Returns:
            What it says; None if it cannot be read.
        """
        return self.write_all({token: line})[token]

    def write_all(self, lines: Mapping[str, bytes]) -> dict[str, Any]:
        """Append several lines at once, as ``write`` does.

        Args:
            lines: By the token of the attempt.

        Returns:
            What each says, by the token.
        """
        read = {token: _read(line) for token, line in lines.items()}
        with self._mutex:
            for token, (text, _) in read.items():
                if text is None:
                    log.error("line of attempt %s is no JSON: %.200r", token, lines[token])
                    self._written.append(token)  # the server need not keep it
                elif len(self._pending) < KEPT_LINES:
                    self._pending[token] = text
            self._flush()
        return {token: record for token, (_, record) in read.items()}

    def retry(self) -> None:
        """Write what could not be written before, if there is any."""
        with self._mutex:
            self._flush()

    @property
    def has_news(self) -> bool:
        """Whether lines were written that the server still keeps."""
        return bool(self._written)

    def written(self) -> list[str]:
        """Return the tokens whose lines were written since the last call."""
        with self._mutex:
            tokens, self._written = self._written, []
            return tokens

    def written_again(self, tokens: list[str]) -> None:
        """Take back what ``written`` returned: the server could not be told."""
        with self._mutex:
            self._written = tokens + self._written

    def _flush(self) -> None:
        if not self._pending:
            return
        try:
            with self._locked():
                while self._pending:
                    tokens = list(islice(self._pending, APPENDED_AT_ONCE))
                    self._append(b"".join(self._pending[token] + b"\n" for token in tokens))
                    for token in tokens:
                        del self._pending[token]
                    self._written += tokens
        except OSError as error:
            if not self._failing:
                log.error("result log %s cannot be written, will try again: %s", self._path, error)
            self._failing = True
        else:
            if self._failing:
                log.warning("result log %s can be written again", self._path)
            self._failing = False

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Hold the lock that all processes share: nobody appends while the file is renamed."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        name = self._path.with_name(f".{self._path.name}.lock")
        lock = os.open(name, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            # whoever holds it may have been stopped
            if not lock_within(lock, self._patience(), pause=LOOK_SECONDS):
                raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            yield
        finally:
            os.close(lock)

    def _patience(self) -> float:
        return LOCK_AGAIN_SECONDS if self._failing else LOCK_SECONDS

    def _append(self, line: bytes) -> None:
        """Write whole lines or nothing."""
        if self._path.exists() and self._path.stat().st_size + len(line) > self._max_bytes:
            moment = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
            name = f"{self._path.stem}.{moment}{self._path.suffix}"
            self._path.rename(self._path.with_name(name))
        file = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            _refuse_pipe(file)
            _cut_torn_line(file)
            _write_whole(file, line)
        finally:
            os.close(file)


def _read(line: bytes) -> tuple[bytes | None, Any]:
    """Return the line as JSON on one line, and what it says; None and None if it cannot be read.

    What a stranger wrote into a job may be no UTF-8, or a number that only Python knows.
    """
    text = line.decode("utf-8", "replace")
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None, None
    if "\n" in text or "NaN" in text or "Infinity" in text:
        text = json.dumps(_finite(record), ensure_ascii=False)
    return text.encode("utf-8", "replace"), record


def _finite(value: object) -> object:
    match value:
        case dict():
            return {name: _finite(part) for name, part in value.items()}
        case list():
            return [_finite(part) for part in value]
        case float() if not math.isfinite(value):
            return None
    return value


def _refuse_pipe(file: int) -> None:
    """Raise OSError for a pipe: what nobody reads in time would count as written.

    Whoever names a device, such as ``/dev/null``, knows what becomes of lines there.
    """
    if stat.S_ISFIFO(os.fstat(file).st_mode):
        raise OSError(errno.EINVAL, "it is a pipe, put a file there")


def _cut_torn_line(file: int) -> None:
    """Cut off what a process wrote that was killed within its line; that line is written again.

    A last line that only lacks its end, as an editor may leave it, gets one.
    """
    size = os.fstat(file).st_size
    if size == 0 or os.pread(file, 1, size - 1) == b"\n":
        return
    start = _start_of_last_line(file, size)
    try:
        json.loads(os.pread(file, size - start, start))
    except ValueError:
        os.ftruncate(file, start)
    else:
        os.write(file, b"\n")


def _start_of_last_line(file: int, size: int) -> int:
    end = size
    while end > 0:
        begin = max(0, end - CHUNK_BYTES)
        found = os.pread(file, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def _write_whole(file: int, line: bytes) -> None:
    """Append ``line``; if only a part fits on the disk, cut it off again.

    Raises:
        OSError: Nothing was written.
    """
    size = os.fstat(file).st_size
    done = 0
    try:
        while done < len(line):
            done += os.write(file, line[done:])
    except OSError:
        if done:
            os.ftruncate(file, size)
        raise
