"""The bounded queue: a job is taken in one round trip, or refused with the time to come back."""

import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from redis import Redis
from rq import Retry
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.times import clock_argument
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import AcceptedPayload, JobType
from spigot.runtime.log_ids import current_ids

from .state import JobState, parse_state

Priority = Literal["high", "default", "low"]

DESCRIPTION = "spigot job"
"""RQ's default would show the arguments, and with them secrets, in logs and the dashboard."""


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
class IdempotencyKey:
    """What makes a repeated request known.

    Attributes:
        name: Unique for client and key; any text.
        fingerprint: Of the request's body.
    """

    name: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Repeated:
    """The request was made before; nothing was enqueued.

    Attributes:
        job: What the first request made; None if its body was another.
    """

    job: JobState | None


class JobQueue:
    """Takes jobs of the catalog's types into their buckets.

    Args:
        redis: Connection to the server of the queue side; its timeout bounds ``enqueue``.
        catalog: The job types that may be enqueued.
        configs: The buckets' numbers, published when the server has none.
        keep_seconds: How long ended jobs and idempotency keys are kept, >= 1.
    """

    def __init__(
        self,
        redis: Redis,
        catalog: JobCatalog,
        configs: Mapping[str, BucketConfig],
        *,
        keep_seconds: int,
    ) -> None:
        self._redis = redis
        self._catalog = catalog
        self._configs = configs
        self._keep_seconds = keep_seconds
        self._publisher = BucketPublisher(redis)
        self._enqueue = load_script(redis, __package__, "enqueue.lua")

    def enqueue(
        self,
        type_name: str,
        payload: Any,
        priority: Priority = "default",
        *,
        job_id: str | None = None,
        idempotency: IdempotencyKey | None = None,
        delay_us: int = 0,
        now_us: int | None = None,
    ) -> JobState | BucketRefusal | Repeated:
        """Put a job into the bucket of its type.

        Args:
            type_name: Of the catalog.
            payload: What the type's model takes.
            priority: ``high`` leaves before ``default``, that before ``low``.
            job_id: Letters, digits, ``_`` and ``-``; None makes one of 128 random bits.
                A job of that id that exists already is returned unchanged.
            idempotency: Makes a repeated request find the first job.
            delay_us: How long the job waits before it joins its queue, >= 0.
            now_us: Unix microseconds; None takes the clock of Redis.

        Raises:
            UnknownJobType: Nothing was enqueued.
            InvalidPayload: Nothing was enqueued.
            ValueError: There is no such priority; nothing was enqueued.
            NewerBucketError: A newer version of Spigot wrote the bucket; nothing was enqueued.
            redis.RedisError: It is unknown whether the job was enqueued; enqueueing it again
                under the same ``job_id`` is safe.
        """
        job_type = self._catalog.get(type_name)
        fields = self._fields(job_type, job_type.accept(payload))
        job_id = job_id or secrets.token_hex(16)
        queue = keys.queue_name(job_type.bucket, priority)
        call = _Call(job_id, queue, fields, idempotency, delay_us, now_us)
        reply = self._send(call)
        if reply[0] == b"unpublished":
            with suppress(NewerBucketError):  # another bucket; this one answers for itself
                self._publisher.publish(self._configs)
            reply = self._send(call)
        return _read(reply, job_id, job_type.bucket)

    def _fields(self, job_type: JobType, payload: AcceptedPayload) -> dict[str, Any]:
        """Return the job's hash as RQ would store it, with our own fields."""
        retries = job_type.retries.retries
        job = Job.create(
            job_type.function_name,
            kwargs=payload.fields,
            connection=self._redis,
            serializer=JSONSerializer,
            description=DESCRIPTION,
            timeout=job_type.timeout,
            result_ttl=self._keep_seconds,
            failure_ttl=self._keep_seconds,
            retry=Retry(max=retries) if retries else None,
        )
        fields = {
            "spigot_type": job_type.name,
            "spigot_log": json.dumps(payload.logged, ensure_ascii=False),
        }
        if payload.hidden:  # kept with the job, so that whoever shows it needs no catalog
            fields["spigot_hidden"] = json.dumps(sorted(payload.hidden))
        request_id = current_ids().get("request_id")
        if request_id:  # its workers' lines name the request that made it
            fields["spigot_request_id"] = request_id
        return job.to_dict() | fields

    def _send(self, call: "_Call") -> list[Any]:
        idempotency = call.idempotency
        queue_key = keys.queue(call.queue)
        fields = {**call.fields, "origin": call.queue}
        given = [keys.idempotency(idempotency.name)] if idempotency else []
        return self._enqueue(  # type: ignore[no-any-return]
            # an empty name would match no pattern of a user's rights
            keys=[keys.job(call.job_id), queue_key, "rq:queues", *given],
            args=[
                call.job_id,
                call.queue,
                self._keep_seconds,
                idempotency.fingerprint if idempotency else "",
                clock_argument(call.now_us),
                call.delay_us,
                *(part for pair in fields.items() for part in pair),
            ],
        )


@dataclass(frozen=True, slots=True)
class _Call:
    job_id: str
    queue: str
    fields: dict[str, Any]
    idempotency: IdempotencyKey | None
    delay_us: int
    now_us: int | None


def _read(reply: list[Any], job_id: str, bucket: str) -> JobState | BucketRefusal | Repeated:
    match reply:
        case [b"full" | b"draining" as word, retry_after_ms]:
            return BucketRefusal(bucket, word == b"draining", retry_after_ms)
        case [b"same", first_id, first]:
            return Repeated(parse_state(first_id.decode(), first))
        case [b"conflict"]:
            return Repeated(None)
        case [b"newer", schema]:
            raise NewerBucketError(bucket, schema)
        case [b"unpublished"]:
            raise RuntimeError(f"bucket {bucket!r} has no numbers, and none were given to publish")
    state = parse_state(job_id, reply)
    if state is None:
        raise RuntimeError(f"what is kept under the id {job_id!r} is no job")
    return state
