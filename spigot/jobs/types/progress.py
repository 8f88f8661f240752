"""How far a job is, told by its function while it runs."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from contextvars import ContextVar
from math import isfinite
from typing import Annotated, Any

from pydantic import WithJsonSchema

from spigot.runtime.set_meanwhile import SetMeanwhile

NOTE_CHARACTERS = 200

Progress = Annotated[
    dict[str, Any],
    WithJsonSchema(
        {
            "type": "object",
            "properties": {
                "done": {"type": "number", "minimum": 0},
                "total": {"anyOf": [{"type": "number", "minimum": 0}, {"type": "null"}]},
                "note": {"type": "string", "maxLength": NOTE_CHARACTERS},
            },
            "required": ["done", "total", "note"],
        }
    ),
]
"""How far a job is: ``{"done": …, "total": …, "note": …}``."""

_report: ContextVar[Callable[[str], None] | None] = ContextVar("report", default=None)


def report_progress(done: float, total: float | None = None, note: str = "") -> None:
    """Tell how far the present job is.

    Call it as often as you like: it does not wait for the server, a few values a second are
    written, and the last one always is. Outside of a job, as in a test of the function, it does
    nothing. A thread that the job starts by itself is outside too, unless it is given the
    job's context (``contextvars.copy_context().run``, or ``asyncio.to_thread``).

    Args:
        done: How much is done, >= 0.
        total: Of how much, >= 0; None if that is not known.
        note: What is being done; 200 characters are kept.

    Raises:
        ValueError: A number is negative or none at all.
    """
    progress = {
        "done": _amount("done", done),
        "total": None if total is None else _amount("total", total),
        "note": str(note)[:NOTE_CHARACTERS],
    }
    report = _report.get()
    if report is not None:
        report(json.dumps(progress))


def progress_told_to(report: Callable[[str], None]) -> AbstractContextManager[None]:
    """Have ``report`` called with what is reported inside, as JSON."""
    return SetMeanwhile(_report, report)


def _amount(name: str, value: float) -> float:
    try:
        if isfinite(value) and value >= 0:
            return value if isinstance(value, int) else float(value)
    except (TypeError, OverflowError):
        pass  # no number, or one that no reader of JSON could take: told below
    raise ValueError(f"{name} must be a number >= 0, not {value!r:.50}")
