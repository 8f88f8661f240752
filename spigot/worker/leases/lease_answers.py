"""What the calls on leases answer."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

from spigot.jobs.store.stored_values import stored_text


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that was ended.

    Attributes:
        line: For the result log; empty if there is none.
        has_dependents: Whether jobs wait for the end of this one.
    """

    line: bytes
    has_dependents: bool

    @classmethod
    def from_reply(cls, reply: list[Any]) -> Self | None:
        """Read what a script replied; None if the attempt was given to somebody else."""
        return cls(reply[0], bool(reply[1])) if reply else None


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a worker learned when it renewed its leases.

    Attributes:
        lost: Attempts whose lease is gone: they were given to somebody else and must stop.
        cancelled: Attempts whose job was cancelled: they must stop, and be ended.
    """

    lost: set[str]
    cancelled: set[str]

    @classmethod
    def from_reply(cls, reply: list[list[bytes]]) -> Self:
        """Read what a script replied."""
        lost, cancelled = ({token.decode() for token in tokens} for tokens in reply)
        return cls(lost, cancelled)


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a worker found to do for others.

    Attributes:
        lines: By token, for the result log.
        parents: Ids of ended jobs whose dependents nobody released yet.
        count: Jobs that were taken from silent workers.
        faults: What could not be read or done, and why.
        more: Whether there is more to do, so that it is worth to look again at once.
        brought_back: What is to be said of each job that was in no place.
    """

    lines: dict[str, bytes]
    parents: list[str]
    count: int
    faults: list[str] = field(default_factory=list)
    more: bool = False
    brought_back: list[str] = field(default_factory=list)

    @classmethod
    def from_reply(
        cls,
        reply: list[Any],
        drop_line: Callable[[bytes], None],
        drop_parent: Callable[[bytes], None],
    ) -> Self:
        """Read what a script replied.

        Args:
            reply: Its lines by token, parents, count, faults, and whether there is more.
            drop_line: Called with a token that cannot be ours: it would be found for ever.
            drop_parent: The same for the id of a job.
        """
        lines, parents, count, faults, more = reply
        complaints = [stored_text(fault) for fault in faults]
        found = dict(zip(lines[::2], lines[1::2], strict=True))
        return cls(
            {token: found[raw] for raw, token in _texts(found, complaints, drop_line)},
            [job_id for _, job_id in _texts(parents, complaints, drop_parent)],
            count,
            complaints,
            bool(more),
        )


def _texts(
    raws: Iterable[bytes], complaints: list[str], drop: Callable[[bytes], None]
) -> Iterator[tuple[bytes, str]]:
    """Yield each with its text; drop what has none."""
    for raw in raws:
        try:
            yield raw, raw.decode()
        except UnicodeDecodeError:
            drop(raw)
            complaints.append(f"{raw!r} is no name of ours and was dropped")
