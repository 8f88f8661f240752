"""What a job really used of its bucket's budgets, told by its function while it runs."""

import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from threading import Lock

from spigot.runtime.set_meanwhile import SetMeanwhile

from .amounts import MOST_MICRO, Amounts, micro, to_text
from .reserved import Reserved
from .upstream_note import UpstreamNote

NAME = re.compile(r"[a-z][a-z0-9_]{0,59}", re.ASCII)


class UsedAmounts:
    """Adds up what one attempt reports; any thread may report.

    Args:
        reserved: What the attempt knows of its bucket's budgets.
        tell: Has what is pressing written soon; called without waiting for it. None: the end of the
            attempt will do.
    """

    def __init__(
        self,
        reserved: Reserved | None = None,
        tell: "Callable[[UsedAmounts], None] | None" = None,
    ) -> None:
        self._reserved = reserved or Reserved()
        self._tell = tell
        self._amounts: Amounts = {}
        self._notes: dict[str, UpstreamNote] = {}
        self._pressing: dict[str, UpstreamNote] = {}
        self._adding = Lock()

    def add(self, amounts: Amounts) -> None:
        """Add what one call reports; more than was reserved is told at once.

        Raises:
            ValueError: The bucket has budgets, but none of that name; nothing was added.
        """
        self._check_names(amounts)
        with self._adding:
            for name, amount in amounts.items():
                self._amounts[name] = min(MOST_MICRO, self._amounts.get(name, 0) + amount)
            is_pressing = self._reserved.is_exceeded_by(self._amounts)
        if is_pressing and self._tell:
            self._tell(self)

    def note(self, notes: Iterable[UpstreamNote]) -> None:
        """Keep what the downstream said last of each of its limits; tell at once what tightens."""
        with self._adding:
            for note in notes:
                self._notes[note.name] = note
                if self._reserved.is_tightened_by(note):
                    self._pressing[note.name] = note
                    self._reserved.take(note)
            is_pressing = bool(self._pressing)
        if is_pressing and self._tell:
            self._tell(self)

    def write_pressing(self, write: Callable[[str, str], object]) -> None:
        """Write what does not wait for the end of the attempt.

        Args:
            write: Is given ``text`` and the pressing notes, as scripts read them; what it raises
                is passed on, and the end of the attempt tells all of it.
        """
        with self._adding:
            used, notes, self._pressing = to_text(self._amounts), self._pressing, {}
        write(used, _texts_of(notes))
        with self._adding:
            for name, note in notes.items():
                if self._notes.get(name) is note:  # it was told
                    del self._notes[name]

    def _check_names(self, amounts: Amounts) -> None:
        known = self._reserved.budgets
        for name in amounts if known else ():
            if name not in known:
                raise ValueError(
                    f"the job's bucket has no budget {name!r}; known: {', '.join(sorted(known))}"
                )

    @property
    def noted(self) -> str:
        """What the downstream said and was not told yet, as scripts read it; "" for nothing."""
        with self._adding:
            return _texts_of(self._notes) if self._notes else ""

    @property
    def text(self) -> str:
        """All of it, as scripts read it; "" if nothing was reported."""
        with self._adding:
            return to_text(self._amounts) if self._amounts else ""


_used: ContextVar[UsedAmounts | None] = ContextVar("used", default=None)


def report_cost(**amounts: float) -> None:
    """Tell what the present job has used of its bucket's budgets, such as ``tokens=1234``.

    Calls add up. What is more than was reserved is charged at once, from a thread. The rest is
    settled when the attempt ends, however it does: a budget that is counted at an unknown moment is
    charged what was reported in place of what was reserved. Outside of a job, as in a test of the
    function, and in a bucket without budgets, it does nothing. A
    thread that the job starts by itself is outside too, unless it is given the job's context
    (``contextvars.copy_context().run``, or ``asyncio.to_thread``).

    Args:
        **amounts: By name of the budget, >= 0.

    Raises:
        ValueError: A number is negative, not finite or none at all, or the bucket has budgets and
            none of that name; nothing of this call was added.
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


def costs_told_to(used: UsedAmounts) -> AbstractContextManager[None]:
    """Have what is reported inside added to ``used``."""
    return SetMeanwhile(_used, used)


def _texts_of(notes: Mapping[str, UpstreamNote]) -> str:
    return " ".join(note.text for note in notes.values())


def _name(name: str) -> str:
    if not NAME.fullmatch(name):
        raise ValueError(f"no budget can be named {name!r:.50}")
    return name


def _amount(name: str, amount: float) -> int:
    try:
        return micro(amount)
    except ValueError as error:
        raise ValueError(f"cost of {name!r} {error}") from None
