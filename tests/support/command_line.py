"""Runs the command line in this process."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from unittest.mock import patch

from spigot.__main__ import main


@dataclass(frozen=True)
class Result:
    """What a command left."""

    exit_code: int
    stdout: str
    stderr: str


def run_spigot(*arguments: str) -> Result:
    """Run ``spigot`` as a shell would."""
    stdout, stderr = _stream(), _stream()
    with (
        patch.object(sys, "argv", ["spigot", *arguments]),
        redirect_stdout(stdout),
        redirect_stderr(stderr),
        _logging_left_alone(),
    ):
        try:
            main()
            exit_code = 0
        except SystemExit as exit:
            exit_code = int(exit.code or 0)
    return Result(exit_code, _written(stdout), _written(stderr))


@contextmanager
def _logging_left_alone() -> Iterator[None]:
    """Undo what a command sets up for its process: the next test has this one too."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers = handlers
        logging.captureWarnings(False)


def _stream() -> TextIOWrapper:
    """Return a stream that takes bytes too, as those of a process do."""
    return TextIOWrapper(BytesIO(), "utf-8", newline="", write_through=True)


def _written(stream: TextIOWrapper) -> str:
    assert isinstance(stream.buffer, BytesIO)
    return stream.buffer.getvalue().decode()
