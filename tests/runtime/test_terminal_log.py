"""What a line of the log looks like on a terminal."""

import logging
import re

import pytest

from spigot.runtime.terminal_log import TerminalFormatter

PLAIN = TerminalFormatter(colour=False, unicode=True)
JOB = {
    "job_id": "0123456789abcdef",
    "job_type": "message",
    "job_status": "finished",
    "seconds": 0.0124,
    "error": "",
}


def line(formatter=PLAIN, level=logging.INFO, message="m", **fields) -> str:
    record = logging.LogRecord("spigot.x", level, "", 1, message, (), None)
    if fields:
        record.fields = fields
    text = formatter.format(record)
    assert re.match(r"(\x1b\[2m)?\d\d:\d\d:\d\d", text)
    return text.partition(" ")[2]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "✓ message 01234567 12 ms"),
        ({"seconds": 4.26}, "✓ message 01234567 4.3 s"),
        ({"seconds": 150}, "✓ message 01234567 2.5 min"),
        ({"job_status": "retrying", "error": "OSError: x"}, "↻ message 01234567 12 ms OSError: x"),
        ({"job_status": "cancelled", "seconds": None}, "⊘ message 01234567"),
        ({"job_type": "a\x1b[2J"}, r"✓ a\x1b[2J 01234567 12 ms"),
        (
            {
                "job_status": "failed",
                "error": "KeyError: 'x'\n",
                "traceback": "Trace\n  at x\x1b\n",
            },
            "✗ message 01234567 12 ms KeyError: 'x'\\x0a\n  Trace\n    at x\\x1b",
        ),
    ],
)
def test_the_end_of_a_job_is_one_short_line_with_its_traceback(changes, expected):
    assert line(**JOB | changes) == expected


def test_colour_tells_how_things_went():
    coloured = TerminalFormatter(colour=True, unicode=True)

    assert line(coloured, **JOB).startswith("\x1b[32m✓\x1b[0m message")
    assert line(coloured, **JOB | {"job_status": "failed"}).startswith("\x1b[31m✗")
    assert line(coloured, logging.ERROR) == "\x1b[31merror\x1b[0m: m"
    assert "\x1b" not in line(PLAIN, logging.ERROR, **JOB)


def test_a_terminal_without_unicode_gets_words():
    plain = TerminalFormatter(colour=False, unicode=False)

    assert line(plain, **JOB | {"job_status": "failed"}).startswith("FAILED message")
    assert line(plain, **JOB).isascii()


def test_other_lines_lack_what_a_person_does_not_look_for():
    assert line(message="serving") == "serving"
    assert line(level=logging.WARNING, message="look out\x1b") == "warning: look out\\x1b"
    assert line(message="redis://:s3cret@host") == "redis://***@host"
