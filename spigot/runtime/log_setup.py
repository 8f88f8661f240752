"""Where log lines go: to stderr, one line per event."""

import logging
import sys
from typing import Literal

from .log_format import JsonFormatter, TextFormatter

LogFormat = Literal["auto", "text", "json"]


def set_up_logging(log_format: LogFormat) -> None:
    """Log everything of Spigot, and warnings of others, to stderr; call it once per process.

    Args:
        log_format: ``auto`` is text on a terminal, JSON otherwise.
    """
    if log_format == "auto":
        log_format = "text" if sys.stderr.isatty() else "json"
    handler = logging.StreamHandler()
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.INFO)
    for name in ("rq", "rq.worker"):
        logging.getLogger(name).setLevel(logging.WARNING)
        logging.getLogger(name).handlers.clear()  # RQ's command gives it some of its own
    logging.captureWarnings(True)
