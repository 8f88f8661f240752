"""Where log lines go."""

import json
import os
import pty

import pytest

from tests.support.processes import run_script

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
    with run_script(SCRIPT, log_format) as process:
        output, errors = process.communicate(timeout=20)

    lines = [json.loads(line) for line in errors.splitlines()]
    assert [line["message"] for line in lines[:2]] == ["ours", "warning of RQ"]
    assert "look out" in lines[2]["message"]
    assert len(lines) == 3
    assert output == ""


def test_lines_are_text_if_that_is_wanted() -> None:
    with run_script(SCRIPT, "text") as process:
        _, errors = process.communicate(timeout=20)

    assert errors.splitlines()[0].endswith("INFO jobs: ours")


def test_lines_are_text_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    script = f"import os; os.dup2({theirs}, 2)\n" + SCRIPT
    with run_script(script, "auto", pass_fds=[theirs]) as process:
        process.communicate(timeout=20)

    assert os.read(ours, 4096).decode().splitlines()[0].endswith("INFO jobs: ours")
    os.close(ours)
    os.close(theirs)
