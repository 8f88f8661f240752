"""Where log lines go: to stderr, one line per event."""

import logging
import sys
from typing import Literal

from .colour import is_welcome
from .log_format import JsonFormatter, TextFormatter
from .terminal_log import TerminalFormatter

LogFormat = Literal["auto", "text", "json"]


def set_up_logging(log_format: LogFormat) -> None:
    """Log everything of Spigot, and warnings of others, to stderr; call it once per process.

    Args:
        log_format: ``auto`` is text on a terminal, JSON otherwise. On a terminal, text is short.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_formatter(log_format))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in ("rq", "rq.worker"):
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(name).handlers.clear()  # RQ's command gives it some of its own
    logging.captureWarnings(True)


def _formatter(log_format: LogFormat) -> logging.Formatter:
    if log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()):
        return JsonFormatter()
    if not sys.stderr.isatty():
        return TextFormatter()
    encoding = (sys.stderr.encoding or "").lower().replace("-", "")
    return TerminalFormatter(colour=is_welcome(sys.stderr), unicode=encoding.startswith("utf"))
