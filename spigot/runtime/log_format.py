"""What a line of the log looks like: text for people, JSON for machines."""

import json
import logging
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

from .log_ids import current_ids

CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}
"""What would begin a new line, or steer a terminal, where somebody else wrote the text."""

PASSWORD = re.compile(r"(?<=://)[^/@\s]+(?=@)")
"""Of a URL; others' errors may have one in their text."""


AS_JSON = json.JSONEncoder(default=str)


class JsonFormatter(logging.Formatter):
    """One object per event; ``extra={"fields": {…}}`` adds to it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one event."""
        second, rest_us = divmod(round(record.created * 1_000_000), 1_000_000)
        line: dict[str, Any] = {
            "time": f"{_second_text(second)}.{rest_us:06}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **current_ids(),
            **_fields(record),
            "process": record.process,
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return without_passwords(AS_JSON.encode(line))


@lru_cache(maxsize=4)  # many lines are of one second
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")


class TextFormatter(logging.Formatter):
    """One line per event; a traceback follows it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one event."""
        moment = datetime.fromtimestamp(record.created).isoformat(" ", "milliseconds")
        message = record.getMessage().translate(CONTROLS)
        ids = "".join(
            f" {name}={value}" for name, value in _ids(record).items() if value not in message
        )
        line = f"{moment} {record.levelname} {record.name}: {message}{ids}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        if trace := _fields(record).get("traceback"):  # of another process, or of a job
            line = f"{line}\n{indented(trace)}"
        return without_passwords(line)


def indented(trace: str) -> str:
    """Return a traceback below its line; no line of it can pass for an event."""
    return "\n".join(f"  {line.translate(CONTROLS)}" for line in trace.rstrip().split("\n"))


def _ids(record: logging.LogRecord) -> dict[str, Any]:
    known = {**current_ids(), **_fields(record)}
    return {name: known[name] for name in ("request_id", "job_id") if name in known}


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields: dict[str, Any] = getattr(record, "fields", {})
    return fields


def without_passwords(line: str) -> str:
    """Return a line with asterisks in the place of passwords in URLs."""
    return PASSWORD.sub("***", line) if "://" in line else line
