"""Where log lines go."""

import json
import os
import pty
import re

import pytest

from tests.support.warm_python import warm_python

SCRIPT = """
import logging, sys, warnings
from spigot.runtime.log_setup import set_up_logging

logging.getLogger("rq.worker").addHandler(logging.StreamHandler(sys.stdout))
set_up_logging(sys.argv[1])
logging.getLogger("jobs").info("ours")
logging.getLogger("rq.worker").info("chat of RQ")
logging.getLogger("rq.worker").warning("warning of RQ")
warnings.warn("look out")
"""


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_every_line_is_json_where_no_terminal_is(log_format: str) -> None:
    ended = warm_python().run("-c", SCRIPT, log_format)

    lines = [json.loads(line) for line in ended.stderr.splitlines()]
    assert [line["message"] for line in lines[:2]] == ["ours", "warning of RQ"]
    assert "look out" in lines[2]["message"]
    assert len(lines) == 3
    assert ended.stdout == ""


def test_lines_are_text_if_that_is_wanted() -> None:
    ended = warm_python().run("-c", SCRIPT, "text")

    assert ended.stderr.splitlines()[0].endswith("INFO jobs: ours")


def first_line(terminal: int) -> str:
    return os.read(terminal, 4096).decode().splitlines()[0]


def test_lines_are_short_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    with (
        open(theirs, "wb", buffering=0) as terminal,
        warm_python().start("-c", SCRIPT, "auto", errors=terminal) as process,
    ):
        assert process.wait() == 0

    assert re.fullmatch(r"(\x1b\[2m)?[\d:]{8}(\x1b\[0m)? ours", first_line(ours))
    os.close(ours)
