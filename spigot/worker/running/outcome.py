"""How an attempt ended: told by the process that ran the function, or seen by the worker."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from operator import attrgetter
from typing import Any, Literal

from spigot.jobs.types import hidden_fields
from spigot.jobs.types.rate_limited import RateLimited
from spigot.runtime.errors import named_line

from .own_traceback import own_traceback
from .written_result import UnwritableResult

ERROR_CHARACTERS = 500

Reported = Literal["finished", "failed", "rate_limited", "refused", "retry"]
Observed = Literal["not_started", "given_back", "died", "pool_died", "cancelled", "lost"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt.

    Attributes:
        status: What the function did: ``finished``, ``failed``, ``rate_limited`` (it raised
            ``RateLimited``), ``refused`` (the same, and its downstream will never serve it) or
            ``retry`` (it returned RQ's ``Retry``). Or what the worker saw:
            ``not_started`` (it was given back before its slot), ``given_back`` (it ran longer
            than a stopping worker has time), ``died`` (its process was killed),
            ``pool_died`` (the process that ran it among others ended), ``cancelled``,
            or ``lost`` (its lease is gone, or could not be renewed in time).
        result: JSON of what it returned; "" unless finished.
        error: One line: the exception's name and message, or what happened.
        trace: The traceback, if there is one.
        final: Whether a failed job is not run again, although it has retries left.
        retry_after: Seconds that the bucket is to wait, if rate_limited; that the job is to wait,
            if not_started: there was no place for it.
        kind: Of the refusal, if rate_limited: ``wait`` or ``quota``.
        stated: Whether the downstream said how long.
        retries: How often RQ's ``Retry`` allows the job to be run again, if retry.
        intervals: Seconds before the first, second, … such run.
        progress: JSON of what the function reported last; "" if it reported none.
        late_us: How long after its slot the function was called; None if it was not.
        suspicion: If pool_died, of having ended the process: 1 or 2; None for none.
        used: What it reported to have used of each budget, as scripts read amounts.
        noted: What its downstream said of its own limits, likewise.
    """

    status: Reported | Observed
    result: str = ""
    error: str = ""
    trace: str = ""
    final: bool = False
    retry_after: float = 0
    kind: str = "wait"
    stated: bool = True
    retries: int = 0
    intervals: tuple[int, ...] = ()
    progress: str = ""
    late_us: int | None = None
    suspicion: int | None = None
    used: str = ""
    noted: str = ""

    @property
    def summary(self) -> str:
        """One line for the log of the worker."""
        words = self.status.replace("_", " ")
        return f"{words}: {self.error}" if self.error else words

    def without(self, hidden: Iterable[str]) -> "Outcome":
        """Return the outcome with asterisks in the place of hidden texts, if there are any."""
        if not hidden:
            return self
        return replace(
            self,
            error=hidden_fields.without(self.error, hidden),
            trace=hidden_fields.without(self.trace, hidden),
        )

    def to_bytes(self) -> bytes:
        """Return the outcome as one JSON document."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Outcome":
        """Read what ``to_bytes`` wrote.

        Raises:
            ValueError: The data is not whole: the process died while it wrote.
        """
        told = json.loads(data)
        return cls(**{**told, "intervals": tuple(told["intervals"])})


FIELDS = tuple(field.name for field in fields(Outcome))
LATE = FIELDS.index("late_us")
VALUES_OF = attrgetter(*FIELDS)


def to_values(ended: Outcome, late_us: int | None) -> tuple[Any, ...]:
    """Return an outcome as plain values, for ``Outcome(*values)``, with its ``late_us``."""
    values = VALUES_OF(ended)
    return (*values[:LATE], late_us, *values[LATE + 1 :])


def cancelled() -> Outcome:
    """Return the outcome of a function that was ended because its job was cancelled."""
    return Outcome("cancelled", error="Cancelled: it was stopped while it ran")


def given_back() -> Outcome:
    """Return the outcome of a function that ran longer than its stopping worker has time."""
    return Outcome("given_back", error="Stopped: its worker was told to stop")


def lost() -> Outcome:
    """Return the outcome of a function that was ended because its lease was perhaps not ours.

    If it stands after all, the server was away for long, and its job goes back.
    """
    return Outcome("lost", error="Lost: its lease could not be renewed in time")


def failed(error: BaseException) -> Outcome:
    """Return the outcome of a function that raised ``error``."""
    return Outcome(
        "failed",
        error=one_line(error),
        trace=own_traceback(error),
        final=isinstance(error, UnwritableResult),
    )


def refused(limit: RateLimited) -> Outcome:
    """Return the outcome of a function that its downstream refused."""
    if limit.kind == "too_large":
        return replace(failed(limit), status="refused")
    return Outcome(
        "rate_limited",
        error=one_line(limit),
        retry_after=limit.retry_after,
        kind=limit.kind,
        stated=limit.stated,
    )


def one_line(error: BaseException) -> str:
    """Return the exception's name and the first line of its message."""
    return named_line(error).encode("utf-8", "replace").decode()[:ERROR_CHARACTERS]
