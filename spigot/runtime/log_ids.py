"""Which request and which job a line of the log is about."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar

from .set_meanwhile import SetMeanwhile

_ids: ContextVar[Mapping[str, str] | None] = ContextVar("log_ids", default=None)


def log_ids(**ids: str | None) -> AbstractContextManager[None]:
    """Have every line of this thread carry ``ids`` meanwhile; None and "" stand for none.

    Args:
        **ids: ``request_id`` and ``job_id``.
    """
    given = {name: value for name, value in ids.items() if value}
    return SetMeanwhile(_ids, {**current_ids(), **given})


def current_ids() -> Mapping[str, str]:
    """Return what lines of this thread carry now."""
    return _ids.get() or {}
