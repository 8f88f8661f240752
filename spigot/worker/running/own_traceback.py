"""Tracebacks as the author of a function wants them: without the frames that called it."""

import asyncio
import traceback
from pathlib import Path

import rq
from rq.exceptions import DeserializationError

from spigot.jobs.types.payloads import InvalidPayload
from spigot.runtime.own_frame import OF_SPIGOT

from .written_result import UnwritableResult

CALLERS = tuple(f"{Path(module).parent}/" for module in (rq.__file__, asyncio.__file__))
"""Folders of what stands, beside Spigot, between a worker and a function."""

OF_NO_LINE = (DeserializationError, InvalidPayload, UnwritableResult)
"""What is wrong with a job's payload or result: the message says all, and no line of Spigot's more.
"""

TRACE_CHARACTERS = 100_000


def own_traceback(error: BaseException) -> str:
    """Return the traceback of an error, from the first frame that is not Spigot's on.

    An error that was raised by Spigot itself keeps all its frames, for whoever mends it, unless it
    is about the job's payload or result.
    """
    told = traceback.TracebackException.from_exception(error, compact=True)
    _leave_out_callers(told, error, set())
    return "".join(told.format())[-TRACE_CHARACTERS:]


def _leave_out_callers(
    told: traceback.TracebackException | None, error: BaseException | None, seen: set[int]
) -> None:
    if told is None or error is None or id(told) in seen:
        return
    seen.add(id(told))
    own = list(told.stack)
    while own and _is_caller(own[0].filename):
        own.pop(0)
    if own or isinstance(error, OF_NO_LINE):
        told.stack = traceback.StackSummary.from_list(own)
    _leave_out_callers(told.__cause__, error.__cause__, seen)
    _leave_out_callers(told.__context__, error.__context__, seen)
    if isinstance(error, BaseExceptionGroup):
        for each, inner in zip(told.exceptions or (), error.exceptions, strict=False):
            _leave_out_callers(each, inner, seen)


def _is_caller(filename: str) -> bool:
    return filename.startswith(CALLERS) or OF_SPIGOT.match(filename) is not None
