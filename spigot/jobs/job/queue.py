"""The bounded queue: jobs are taken in, many by one script, or told when to come back."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import groupby
from secrets import token_hex
from typing import Any, Unpack

from redis import Redis

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.budgets.amounts import to_text
from spigot.jobs.budgets.declared_cost import Cost, CostExceedsBurst, usual_costs
from spigot.jobs.store import keys
from spigot.jobs.store.framed_call import FramedCall
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.replica_wait import NotReplicatedError, ReplicaWait
from spigot.jobs.store.times import clock_argument, minute_text, utc_text
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import JobType
from spigot.jobs.types.payloads import AcceptedPayload
from spigot.runtime.log_ids import current_ids

from .job_form import JobForm
from .new_job import (
    BucketRefusal,
    IdempotencyKey,
    JobOptions,
    NewJob,
    Outcome,
    Priority,
    Repeated,
    Taken,
)
from .state import JobState, parse_state

__all__ = [
    "BucketRefusal",
    "IdempotencyKey",
    "JobQueue",
    "NewJob",
    "Outcome",
    "Priority",
    "Repeated",
    "Taken",
]

OPTIONS = JobOptions.__annotations__.keys()

TAKEN_AT_ONCE = 100
"""Jobs that one script takes in at most: everybody waits for the server meanwhile."""


class JobQueue:
    """Takes jobs of the catalog's types into their buckets.

    Args:
        redis: Connection to the server of the queue side; its timeout bounds ``enqueue``.
        catalog: The job types that may be enqueued.
        configs: The buckets' numbers, published when the server has none.
        keep_seconds: How long ended jobs and idempotency keys are kept, >= 1.
        wait: For the replicas that must have a job before it counts as taken; None: for none.
    """

    def __init__(
        self,
        redis: Redis,
        catalog: JobCatalog,
        configs: Mapping[str, BucketConfig],
        *,
        keep_seconds: int,
        wait: ReplicaWait | None = None,
    ) -> None:
        self._redis = redis
        self._wait = wait
        self._catalog = catalog
        self._configs = configs
        self._keep_seconds = keep_seconds
        self._publisher = BucketPublisher(redis)
        self._enqueue = load_script(redis, __package__, "enqueue.lua")
        self._forms: dict[str, JobForm] = {}
        self._calls: dict[tuple[str, Priority], FramedCall] = {}

    def enqueue(
        self,
        type_name: str,
        payload: Any,
        priority: Priority = "default",
        *,
        now_us: int | None = None,
        **options: Unpack[JobOptions],
    ) -> Taken:
        """Put a job into the bucket of its type.

        Args:
            type_name: Of the catalog.
            payload: What the type's model takes.
            priority: ``high`` leaves before ``default``, that before ``low``.
            now_us: Unix microseconds; None takes the clock of Redis.
            **options: As ``JobOptions`` has them.

        Raises:
            UnknownJobType: Nothing was enqueued.
            InvalidPayload: Nothing was enqueued.
            InvalidCost: Nothing was enqueued.
            CostExceedsBurst: Nothing was enqueued.
            ValueError: There is no such priority; nothing was enqueued.
            NewerBucketError: A newer version of Spigot wrote the bucket; nothing was enqueued.
            NotReplicatedError: Too few replicas have the job. It waits all the same.
            redis.RedisError: It is unknown whether the job was enqueued; enqueueing it again
                under the same ``job_id`` is safe.
        """
        job = self.accept(type_name, payload, priority, **options)
        (outcome,) = self._take_in((job,), now_us)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def accept(
        self,
        type_name: str,
        payload: Any,
        priority: Priority = "default",
        **options: Unpack[JobOptions],
    ) -> NewJob:
        """Return the job that ``enqueue_many`` takes in; nothing is enqueued yet.

        Args and Raises: As ``enqueue``, but for the server's.
        """
        if not options.keys() <= OPTIONS:
            raise TypeError(f"a job has no option {', '.join(sorted(options.keys() - OPTIONS))}")
        job_type = self._catalog.get(type_name)
        self._call(job_type, priority)  # there is such a priority
        accepted = job_type.accept(payload)
        costs = self._costs_of(job_type, accepted, options.get("cost"))
        fields = self._form(job_type).own(accepted, costs, current_ids().get("request_id"))
        chosen_id = options.get("job_id")
        return NewJob(
            chosen_id or token_hex(16),
            job_type,
            priority,
            payload,
            fields,
            options.get("idempotency"),
            options.get("delay_us", 0),
            chosen_id is not None,
        )

    def enqueue_many(self, jobs: Sequence[NewJob], *, now_us: int | None = None) -> list[Outcome]:
        """Put jobs into the buckets of their types, in this order, as long as there is room.

        Args:
            jobs: Those that ``accept`` returned.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            What came of each; the error for those whose bucket a newer version of Spigot wrote.

        Raises:
            NotReplicatedError: Too few replicas have the jobs, as far as they were taken in.
            redis.RedisError: It is unknown which jobs were enqueued; with idempotency keys, all
                can be enqueued again.
        """
        outcomes: list[Outcome] = []
        for _, alike in groupby(jobs, key=lambda job: job.kind):
            rest = list(alike)
            while rest:
                outcomes += self._take_in(rest[:TAKEN_AT_ONCE], now_us)
                del rest[:TAKEN_AT_ONCE]
        return outcomes

    def _costs_of(
        self, job_type: JobType, payload: AcceptedPayload, given: Cost | None
    ) -> str | None:
        """Return what a job costs, as scripts read it; None in a bucket without budgets."""
        config = self._configs.get(job_type.bucket)
        if config is None or not config.budgets:
            if given is not None:
                job_type.declared_cost.amounts(given, {})  # it is one, or is refused
            return None
        said = job_type.cost_of(payload, config.budgets, given)
        return to_text(usual_costs(config.budgets) | said)

    def _form(self, job_type: JobType) -> JobForm:
        form = self._forms.get(job_type.name)
        if form is None:
            form = self._forms[job_type.name] = JobForm.of(job_type, self._keep_seconds)
        return form

    def _take_in(self, batch: Sequence[NewJob], now_us: int | None) -> Sequence[Outcome]:
        """Put jobs of one kind into their bucket, by one script."""
        bucket = batch[0].type.bucket
        reply, not_replicated = self._send(batch, now_us)
        if reply[0] == b"unpublished":
            with suppress(NewerBucketError):  # another bucket; this one answers for itself
                self._publisher.publish(self._configs)
            reply, not_replicated = self._send(batch, now_us)
        if reply[0] == b"unpublished":
            raise RuntimeError(f"bucket {bucket!r} has no numbers, and none were given to publish")
        if reply[0] == b"newer":
            return [NewerBucketError(bucket, reply[1])] * len(batch)
        at_us, *answers = reply
        read = [_read(job, at_us, answer) for job, answer in zip(batch, answers, strict=True)]
        if not_replicated is not None and any(map(_is_there, read)):
            raise not_replicated
        return read

    def _send(
        self, batch: Sequence[NewJob], now_us: int | None
    ) -> tuple[list[Any], NotReplicatedError | None]:
        first = batch[0]
        call = self._call(first.type, first.priority)
        args: list[Any] = [
            first.delay_us,
            clock_argument(now_us),
            int(first.id_is_chosen),
            *minute_text(now_us),
        ]
        for job in batch:
            args += job.arguments()
        if self._wait is not None:
            return self._wait.call(call.script, call.keys, call.around(args))
        return call(args), None

    def _call(self, job_type: JobType, priority: Priority) -> FramedCall:
        """Return the call of the script with what all jobs of a type and a priority have."""
        call = self._calls.get((job_type.name, priority))
        if call is None:
            bucket = job_type.bucket
            queue, queues = keys.queue_name(bucket, priority), keys.queue_names(bucket)
            others = [keys.queue(other) for other in queues if other != queue]
            script_keys = [keys.queue(queue), "rq:queues", *others, *map(keys.blanks, queues)]
            fields = ["origin", queue, *self._form(job_type).shared]
            before = [queue, bucket, job_type.name, self._keep_seconds, len(fields)]
            call = FramedCall(self._enqueue, script_keys, before, fields)
            self._calls[job_type.name, priority] = call
        return call


def _is_there(outcome: Outcome) -> bool:
    """Return whether the client is told of a job, which is then to be on the replicas."""
    job = outcome.job if isinstance(outcome, Repeated) else outcome
    return isinstance(job, JobState)


def _read(job: NewJob, now_us: int, answer: list[Any]) -> Outcome:
    match answer:
        case [b"queued", position, start_us]:
            return _taken(job, now_us, position, start_us)
        case [b"full" | b"draining" as word, retry_after_ms]:
            return BucketRefusal(job.type.bucket, word == b"draining", retry_after_ms)
        case [b"same", first_id, first]:
            return Repeated(parse_state(first_id.decode(), first))
        case [b"costly", budget, cost, largest]:
            return CostExceedsBurst(job.type.bucket, budget.decode(), int(cost), int(largest))
        case [b"conflict"]:
            return Repeated(None)
    state = parse_state(job.id, answer[1])
    if state is None:
        raise RuntimeError(f"what is kept under the id {job.id!r} is no job")
    return state


def _taken(job: NewJob, now_us: int, position: int, start_us: int) -> JobState:
    """Return a job that was made just now."""
    return JobState(
        id=job.id,
        type=job.type.name,
        status="delayed" if job.delay_us else "queued",
        bucket=job.type.bucket,
        priority=job.priority,
        position=position or None,
        estimated_start_at=utc_text(start_us) if start_us else None,
        estimated_start_in=max(0, start_us - now_us) / 1_000_000 if start_us else None,
        attempts=0,
        enqueued_at=utc_text(now_us),
        started_at=None,
        ended_at=None,
        progress=None,
        result=None,
        error=None,
        revision=1,
    )
