"""What the calls on leases answer."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that was ended.

    Attributes:
        line: For the result log; empty if there is none.
        has_dependents: Whether jobs wait for the end of this one.
    """

    line: bytes
    has_dependents: bool


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a worker learned when it renewed its leases.

    Attributes:
        lost: Attempts whose lease is gone: they were given to somebody else and must stop.
        cancelled: Attempts whose job was cancelled: they must stop, and be ended.
    """

    lost: set[str]
    cancelled: set[str]


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
