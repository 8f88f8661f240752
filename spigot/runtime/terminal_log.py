"""What a line of the log looks like on a terminal: short, and coloured by how things went."""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from .log_format import CONTROLS, indented, without_passwords

DIM, RESET = "\x1b[2m", "\x1b[0m"
RED, GREEN, YELLOW, PLAIN = "\x1b[31m", "\x1b[32m", "\x1b[33m", ""

LEVELS = {"WARNING": YELLOW, "ERROR": RED, "CRITICAL": RED}


class Sign(NamedTuple):
    """How the end of an attempt is shown.

    Attributes:
        symbol: One character.
        plain: The same for terminals without Unicode.
        colour: Of the symbol.
    """

    symbol: str
    plain: str
    colour: str


SIGNS = {
    "finished": Sign("✓", "ok", GREEN),
    "failed": Sign("✗", "FAILED", RED),
    "refused": Sign("✗", "FAILED", RED),
    "cancelled": Sign("⊘", "cancelled", PLAIN),
}
OTHER = Sign("↻", "again", YELLOW)
"""Of an attempt whose job runs again."""


class TerminalFormatter(logging.Formatter):
    """One short line per event; a traceback follows it.

    Args:
        colour: Whether the terminal shows colours.
        unicode: Whether it shows more than ASCII.
    """

    def __init__(self, *, colour: bool, unicode: bool) -> None:
        super().__init__()
        self._colour = colour
        self._unicode = unicode

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of one event."""
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        moment = self._coloured(f"{datetime.fromtimestamp(record.created):%H:%M:%S}", DIM)
        text = self._end_of_job(fields) if "job_status" in fields else self._message(record)
        line = f"{moment} {text}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        if trace := fields.get("traceback"):
            line = f"{line}\n{indented(trace)}"
        return without_passwords(line)

    def _message(self, record: logging.LogRecord) -> str:
        message = record.getMessage().translate(CONTROLS)
        if record.levelno < logging.WARNING:
            return message
        word = record.levelname.lower()
        return f"{self._coloured(word, LEVELS.get(record.levelname, PLAIN))}: {message}"

    def _end_of_job(self, fields: Mapping[str, Any]) -> str:
        sign = SIGNS.get(fields["job_status"], OTHER)
        symbol = sign.symbol if self._unicode else sign.plain
        parts = [self._coloured(symbol, sign.colour)]
        parts += [fields[name].translate(CONTROLS) for name in ("job_type", "job_id")]
        parts[2] = parts[2][:8]
        if fields["seconds"] is not None:
            parts.append(self._coloured(_duration(fields["seconds"]), DIM))
        if fields["error"]:
            parts.append(fields["error"].translate(CONTROLS))
        return " ".join(parts)

    def _coloured(self, text: str, colour: str) -> str:
        return f"{colour}{text}{RESET}" if self._colour and colour else text


def _duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 60 else f"{seconds / 60:.1f} min"
