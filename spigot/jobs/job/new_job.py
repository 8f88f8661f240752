"""What is enqueued, and what may come of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypedDict

from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.budgets.declared_cost import Cost, CostExceedsBurst
from spigot.jobs.store import keys
from spigot.jobs.types.job_types import JobType

from .state import JobState

Priority = Literal["high", "default", "low"]


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """What makes a repeated request known.

    Attributes:
        name: Unique for client and key; any text.
        fingerprint: Of the request's body.
    """

    name: str
    fingerprint: str


class JobOptions(TypedDict, total=False):
    """What may be said of a job that is enqueued.

    Attributes:
        job_id: Letters, digits, ``_`` and ``-``; None makes one of 128 random bits. A job of that
            id that exists already is returned unchanged.
        idempotency: Makes a repeated request find the first job.
        delay_us: How long the job waits before it joins its queue, >= 0.
        cost: What the job takes of its bucket's budgets; None: what its type says.
    """

    job_id: str | None
    idempotency: IdempotencyKey | None
    delay_us: int
    cost: Cost | None


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job whose payload was accepted, and which can be enqueued.

    Attributes:
        id: The job's.
        type: Its type.
        priority: ``high`` leaves before ``default``, that before ``low``.
        payload: As it was given.
        fields: Alternating name and value of what only this job has.
        idempotency: Makes a repeated request find the first job.
        delay_us: How long it waits before it joins its queue, >= 0.
        id_is_chosen: Whether a job of its id may exist, which then stays as it is.
    """

    id: str
    type: JobType
    priority: Priority
    payload: Any
    fields: Sequence[str | bytes]
    idempotency: IdempotencyKey | None = None
    delay_us: int = 0
    id_is_chosen: bool = False

    @property
    def kind(self) -> tuple[str, str, int, bool]:
        """What jobs have in common that one script takes in."""
        return self.type.name, self.priority, self.delay_us, self.id_is_chosen

    def arguments(self) -> list[str | bytes | int]:
        """Return what ``enqueue.lua`` is told of it."""
        key = self.idempotency
        given = ("", "") if key is None else (keys.idempotency(key.name), key.fingerprint)
        return [self.id, *given, len(self.fields), *self.fields]


@dataclass(frozen=True, slots=True)
class BucketRefusal:
    """The bucket takes no job now.

    Attributes:
        bucket: Its name.
        draining: True if it takes none until an operator says so, False if it is full.
        retry_after_ms: When a place is free at the present rate, >= 1.
    """

    bucket: str
    draining: bool
    retry_after_ms: int

    def __str__(self) -> str:
        state = "being drained and takes no new jobs" if self.draining else "full"
        return f"bucket {self.bucket!r} is {state}"


@dataclass(frozen=True, slots=True)
class Repeated:
    """The request was made before; nothing was enqueued.

    Attributes:
        job: What the first request made; None if its body was another.
    """

    job: JobState | None


Taken = JobState | BucketRefusal | Repeated
Outcome = Taken | CostExceedsBurst | NewerBucketError
"""The errors are raised where one job is enqueued, and returned of many."""
