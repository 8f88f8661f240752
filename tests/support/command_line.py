"""Runs the command line in this process."""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
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
    stdout, stderr = StringIO(), StringIO()
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
    return Result(exit_code, stdout.getvalue(), stderr.getvalue())


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
