"""Puts ends of attempts into calls of scripts: as few as can write them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from redis.commands.core import Script

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import Call

from .attempt_report import AttemptReport
from .lease_answers import Ended


@dataclass(frozen=True, slots=True)
class AttemptEnd:
    """What a script is to be told of an attempt, to end it.

    Attributes:
        script: That ends it.
        report: Of the attempt.
        args: Its own.
        shared: Those that one run takes for all its attempts; empty if a run ends only one.
        entry: Of RQ's list of what is running; "" if it is unknown, or the run ends only one.
    """

    script: Script
    report: AttemptReport
    args: Sequence[Any]
    shared: tuple[Any, ...] = ()
    entry: str = ""


@dataclass(slots=True)
class EndRun:
    """Ends that one run of a script writes.

    Attributes:
        ends: By their place among all.
        tokens: Of their attempts.
    """

    ends: dict[int, AttemptEnd] = field(default_factory=dict)
    tokens: list[str] = field(default_factory=list)

    def add(self, place: int, end: AttemptEnd) -> None:
        """Take an end in."""
        self.ends[place] = end
        self.tokens.append(end.report.token)

    @property
    def is_shared(self) -> bool:
        """Whether it may end several."""
        return bool(next(iter(self.ends.values())).shared)

    def call(self) -> Call:
        """Return the script with its keys and arguments."""
        ends = list(self.ends.values())
        args = list(chain.from_iterable(end.args for end in ends))
        if self.is_shared:
            entries = [end.entry for end in ends]
            args = [*ends[0].shared, *self.tokens, *entries, *args]
        return ends[0].script, [keys.lease(token) for token in self.tokens], args

    def answers(self, reply: Any) -> dict[int, Ended | None]:
        """Return what the script replied, by the place of the end."""
        replies = reply if self.is_shared else [reply]
        return dict(zip(self.ends, map(Ended.from_reply, replies), strict=True))


def runs_of(ends: Iterable[AttemptEnd]) -> list[EndRun]:
    """Return the runs that write ends.

    An end joins an earlier run that takes the same shared arguments, unless one that takes none is
    between them, or the run ends its attempt already.
    """
    runs: list[EndRun] = []
    open_runs: dict[tuple[Any, ...], EndRun] = {}
    for place, end in enumerate(ends):
        run = open_runs.get(end.shared)
        if run is None or end.report.token in run.tokens:
            runs.append(run := EndRun())
        if end.shared:
            open_runs[end.shared] = run
        else:
            open_runs.clear()
        run.add(place, end)
    return runs
