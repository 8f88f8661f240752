"""Which request and which job a line of the log is about."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_ids: ContextVar[Mapping[str, str] | None] = ContextVar("log_ids", default=None)


@contextmanager
def log_ids(**ids: str | None) -> Iterator[None]:
    """Have every line of this thread carry ``ids`` meanwhile; None and "" stand for none.

    Args:
        **ids: ``request_id`` and ``job_id``.
    """
    given = {name: value for name, value in ids.items() if value}
    token = _ids.set({**current_ids(), **given})
    try:
        yield
    finally:
        _ids.reset(token)


def current_ids() -> Mapping[str, str]:
    """Return what lines of this thread carry now."""
    return _ids.get() or {}
