"""What works on Windows: enqueueing and the door; seen here with what Windows lacks taken away."""

import subprocess
import sys

import pytest

from spigot import __main__ as command_line
from tests.support.command_line import run_spigot

WITHOUT = """
import os, signal, sys
for name in ("fcntl", "grp", "pty", "pwd", "resource", "termios"):
    sys.modules[name] = None
for name in ("fork", "geteuid", "getuid", "killpg", "register_at_fork", "setsid"):
    vars(os).pop(name, None)
for name in ("SIGALRM", "SIGCHLD", "SIGHUP", "SIGKILL", "SIGUSR1", "setitimer", "pthread_sigmask"):
    vars(signal).pop(name, None)
"""


IMPORTS = """
from spigot import Door, RateLimited, enqueue, job_type, rate_limit, report_progress
import spigot.testing
from spigot.__main__ import cli
"""


def test_what_an_application_imports_needs_no_unix():
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT + IMPORTS], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("name", ["up", "web", "worker"])
def test_what_needs_unix_says_so_in_one_line(monkeypatch, name):
    monkeypatch.setattr(command_line, "PLATFORM", "win32")

    result = run_spigot(name)

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    assert f"`spigot {name}` does not run on Windows: use WSL" in result.stderr


def test_other_commands_are_there(monkeypatch):
    monkeypatch.setattr(command_line, "PLATFORM", "win32")

    assert run_spigot("completion", "bash").exit_code == 0
