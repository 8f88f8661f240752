"""What a job really used of its bucket's budgets, told by its function while it runs."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock

from .amounts import MOST_MICRO, Amounts, micro, to_text
from .upstream_note import UpstreamNote

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)


class UsedAmounts:
    """Adds up what one attempt reports; any thread may report."""

    def __init__(self) -> None:
        self._amounts: Amounts = {}
        self._notes: dict[str, UpstreamNote] = {}
        self._adding = Lock()

    def add(self, amounts: Amounts) -> None:
        """Add what one call reports."""
        with self._adding:
            for name, amount in amounts.items():
                self._amounts[name] = min(MOST_MICRO, self._amounts.get(name, 0) + amount)

    def note(self, notes: Iterable[UpstreamNote]) -> None:
        """Keep what the downstream said last of each of its limits."""
        with self._adding:
            self._notes |= {note.name: note for note in notes}

    @property
    def noted(self) -> str:
        """What the downstream said, as scripts read it; "" if it said nothing."""
        with self._adding:
            return " ".join(note.text for note in self._notes.values())

    @property
    def text(self) -> str:
        """All of it, as scripts read it; "" if nothing was reported."""
        with self._adding:
            return to_text(self._amounts)


_used: ContextVar[UsedAmounts | None] = ContextVar("used", default=None)


def report_cost(**amounts: float) -> None:
    """Tell what the present job has used of its bucket's budgets, such as ``tokens=1234``.

    Calls add up. It is settled when the attempt ends, however it does: a budget that is counted
    at an unknown moment is charged what was reported in place of what was reserved, and any budget
    what was used beyond that. Outside of a job, as in a test of the function, it does nothing. A
    thread that the job starts by itself is outside too, unless it is given the job's context
    (``contextvars.copy_context().run``, or ``asyncio.to_thread``).

    Args:
        **amounts: By name of the budget, >= 0.

    Raises:
        ValueError: A number is negative, not finite or none at all, or a name is none of a budget.
    """
    read = {_name(name): _amount(name, amount) for name, amount in amounts.items()}
    used = _used.get()
    if used is not None:
        used.add(read)


def note_limits(notes: Iterable[UpstreamNote]) -> None:
    """Note what the present job's downstream says of its own limits; outside of a job, nothing."""
    used = _used.get()
    if used is not None:
        used.note(notes)


@contextmanager
def costs_told_to(used: UsedAmounts) -> Iterator[None]:
    """Have what is reported inside added to ``used``."""
    token = _used.set(used)
    try:
        yield
    finally:
        _used.reset(token)


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"no budget can be named {name!r:.50}")
    return name


def _amount(name: str, amount: float) -> int:
    try:
        return micro(amount)
    except ValueError as error:
        raise ValueError(f"cost of {name!r} {error}") from None
