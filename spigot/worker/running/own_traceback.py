"""Tracebacks as the author of a function wants them: without the frames that called it."""

import asyncio
import traceback
from pathlib import Path

import rq

CALLERS = tuple(
    str(Path(module).parent) + "/" for module in (__file__, rq.__file__, asyncio.__file__)
)
"""Folders of what stands between a worker and a function: Spigot's worker, RQ, asyncio."""

TRACE_CHARACTERS = 100_000


def own_traceback(error: BaseException) -> str:
    """Return the traceback of an error, from the first frame that is not the worker's on.

    An error that was raised by the worker itself keeps all its frames.
    """
    told = traceback.TracebackException.from_exception(error, compact=True)
    _leave_out_callers(told, set())
    return "".join(told.format())[-TRACE_CHARACTERS:]


def _leave_out_callers(told: traceback.TracebackException, seen: set[int]) -> None:
    if id(told) in seen:
        return
    seen.add(id(told))
    own = list(told.stack)
    while own and own[0].filename.startswith(CALLERS):
        own.pop(0)
    if own:
        told.stack = traceback.StackSummary.from_list(own)
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None:
            _leave_out_callers(other, seen)
