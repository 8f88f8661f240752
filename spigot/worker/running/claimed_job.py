"""A job as its worker has it in hand."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from redis import Redis
from rq import Queue
from rq.exceptions import DeserializationError
from rq.job import Job, validate_job_id
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.store.stored_values import stored_text
from spigot.jobs.types.hidden_fields import hidden_values

from .usual_fields import usual_attributes
from .usual_times import split_usual_times

Hook = Callable[..., object]


class ClaimedJob(Job):
    """A job that was claimed from its bucket.

    Attributes:
        claim: Of the present attempt.
        start_at: When the slot is, on the monotonic clock of this machine.
        type_name: Of the catalog; "" for a job that plain RQ enqueued.
        hidden: Paths of its payload that nobody is shown.
        request_id: Of the request that made it; "" if none did.
        exception_handlers: Those that RQ's worker was given.
        on_horse_killed: What it does when a work horse was killed; told process id, wait status
            and resource usage.
    """

    claim: Claim
    start_at: float
    timeout: int
    type_name: str = ""
    request_id: str = ""
    hidden: Sequence[Sequence[str]] = ()
    exception_handlers: Sequence[Hook] = ()
    on_horse_killed: Hook | None = None

    @classmethod
    def of(cls, claim: Claim, connection: Redis) -> "ClaimedJob":
        """Build the job from a claim that was returned just now, without asking again."""
        job = cls._read(claim.job_id, claim.fields, connection)
        job.claim = claim
        job.start_at = claim.start_at
        job.timeout = job.timeout or Queue.DEFAULT_TIMEOUT
        job.type_name = stored_text(claim.fields.get(b"spigot_type", b""))
        hidden = claim.fields.get(b"spigot_hidden")
        job.hidden = json.loads(hidden) if hidden else ()
        job.request_id = stored_text(claim.fields.get(b"spigot_request_id", b""))
        return job

    @classmethod
    def _read(cls, id: str, fields: Mapping[bytes, bytes], connection: Redis) -> "ClaimedJob":
        """Make RQ's job of the fields of its hash; the usual ones at an eighth of what RQ takes."""
        attributes = usual_attributes(fields)
        if attributes is None:
            job = cls(id, connection=connection, serializer=JSONSerializer)
            job.restore(fields)
            return job
        validate_job_id(id)
        job = cls.__new__(cls)
        vars(job).update(attributes, _id=id, connection=connection)
        return job

    def restore(self, raw_data: Any) -> None:
        """Take over the fields of the job's hash, as RQ's own does."""
        others, times = split_usual_times(raw_data)
        super().restore(others)
        vars(self).update(times)

    @property
    def longest_seconds(self) -> float:
        """How long its function and its callbacks may take together; infinite if no timeout."""
        if self.timeout < 0:
            return math.inf
        success = self.success_callback_timeout if self._success_callback_name else 0
        failure = self.failure_callback_timeout if self._failure_callback_name else 0
        return self.timeout + success + failure

    @property
    def hidden_texts(self) -> set[str]:
        """What nobody is shown of its payload."""
        try:
            return hidden_values(self.kwargs, self.hidden) if self.hidden else set()
        except DeserializationError:
            return set()

    def readable_name(self) -> str:
        """Return the job type, or the dotted name of the function, or why there is none."""
        try:
            return self.type_name or self.func_name or ""
        except DeserializationError:
            return "unreadable"
