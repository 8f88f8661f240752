"""RQ's way to end a function at its timeout, for functions that run beside each other."""

from math import inf
from types import TracebackType
from typing import Any

from rq.timeouts import BaseDeathPenalty

from spigot.worker.running.function_call import Interrupted

from .attempt import current_attempt


class PoolDeathPenalty(BaseDeathPenalty):
    """Sets the deadline of the present attempt; the watch of the child's process does the rest.

    RQ's own needs the main thread, or a thread for each job, and raises an ``Exception``, which
    a function that tries again swallows.
    """

    def __init__(
        self, timeout: float, exception: type[Exception] = Exception, **options: Any
    ) -> None:
        self._seconds = timeout
        self._kind = exception

    def __enter__(self) -> None:
        attempt = current_attempt.get()
        if attempt is not None:
            attempt.allow(self._seconds)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        attempt = current_attempt.get()
        if attempt is None:
            return
        attempt.deadline = inf
        if isinstance(error, Interrupted) and attempt.take_timeout():
            message = f"Task exceeded maximum timeout value ({self._seconds} seconds)"
            raise self._kind(message).with_traceback(trace) from None
