"""Runs the command line in this process."""

import sys
from contextlib import redirect_stderr, redirect_stdout
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
    ):
        try:
            main()
            exit_code = 0
        except SystemExit as exit:
            exit_code = int(exit.code or 0)
    return Result(exit_code, stdout.getvalue(), stderr.getvalue())
