"""Enqueues jobs from any Python program."""

from typing import TYPE_CHECKING, Any

from spigot.runtime.errors import PortableError

from .enqueued_job import EnqueuedJob

if TYPE_CHECKING:
    from collections.abc import Iterable

    from spigot.jobs.budgets.declared_cost import Cost, CostExceedsBurst, Costs
    from spigot.jobs.job.new_job import Priority

    from .program import Program

MOST_DELAY_SECONDS = 366 * 86400


class BucketFull(PortableError):
    """The bucket takes no job now; nothing was enqueued. Enqueue it again after a while.

    Attributes:
        bucket: Its name.
        retry_after: Seconds until a place is free at the present rate.
    """

    def __init__(self, reason: str, bucket: str, retry_after: float) -> None:
        self.bucket = bucket
        self.retry_after = retry_after
        super().__init__(f"{reason}: try again in {retry_after:g} s")


class IdempotencyConflict(PortableError, ValueError):
    """The idempotency key was used for another job; nothing was enqueued. Use another key."""

    def __init__(self, key: str) -> None:
        super().__init__(f"idempotency key {key!r} was used for another job")


def enqueue(
    type: str,
    payload: Any = None,
    *,
    priority: "Priority" = "default",
    idempotency_key: str | None = None,
    delay: float = 0,
    cost: "Cost | None" = None,
    redis_url: str | None = None,
) -> EnqueuedJob:
    """Put a job into the bucket of its type.

    Settings, job types and buckets are read at the first call, and the connection is kept. It
    may be called in scripts, in views and in the functions of other jobs.

    Args:
        type: Name of a job type of the modules in ``SPIGOT_APPS``.
        payload: What the type's function takes: a dict or its model; None is an empty dict.
        priority: ``high`` leaves before ``default``, that before ``low``.
        idempotency_key: Makes a repeated call find the first job and enqueue nothing. It is kept
            for ``SPIGOT_KEEP_SECONDS``; programs have keys of their own, apart from those of HTTP
            clients. Any text but an empty one.
        delay: Seconds that the job waits before it joins its queue, >= 0, at most a year.
        cost: What the job takes of its bucket's budgets, in place of what its type says.
        redis_url: Another server than the one that the settings name.

    Returns:
        The job, with its position and estimated start.

    Raises:
        BucketFull: Nothing was enqueued; its ``retry_after`` says when to come back.
        UnknownJobType: Nothing was enqueued.
        InvalidPayload: Nothing was enqueued; its ``errors`` say which field and why.
        InvalidCost: Nothing was enqueued; what the job costs cannot be used.
        CostExceedsBurst: Nothing was enqueued; its ``largest`` is the largest cost that fits.
        IdempotencyConflict: Nothing was enqueued.
        ValueError: There is no such priority, the delay is no such number, the key is empty, or
            ``redis_url`` cannot be used.
        OperatorError: A setting, an app or ``buckets.json`` cannot be used, or there is no server.
        redis.RedisError: The server did not answer; it is unknown whether the job was enqueued.
            With an idempotency key it can be enqueued again.
    """
    program = _program(redis_url, delay, idempotency_key)
    payload = {} if payload is None else payload
    outcome = program.enqueue(type, payload, priority, idempotency_key, delay, cost)
    enqueued = program.told(outcome, idempotency_key or "")
    if isinstance(enqueued, Exception):
        raise enqueued
    return enqueued


def enqueue_many(
    type: str,
    payloads: "Iterable[Any]",
    *,
    priority: "Priority" = "default",
    idempotency_key: str | None = None,
    delay: float = 0,
    cost: "Costs | None" = None,
    redis_url: str | None = None,
) -> "list[EnqueuedJob | BucketFull | CostExceedsBurst | IdempotencyConflict]":
    """Put jobs into the bucket of their type, in order, a hundred in one round trip.

    All payloads are checked before the first job is enqueued. Then what fits is taken in: once the
    bucket is full, the jobs that are left are answered with ``BucketFull``, which is returned and
    not raised. So is ``CostExceedsBurst`` for a job that would never start; others are taken in.

    Args:
        type: Name of a job type of the modules in ``SPIGOT_APPS``.
        payloads: What the type's function takes, for each job: a dict or its model.
        priority: As ``enqueue``, and so are the next ones.
        idempotency_key: Makes a repeated call enqueue only what was not taken in before: a job's
            key is this one and the index of its payload.
        delay: Seconds that each job waits before it joins its queue.
        cost: What each job takes of its bucket's budgets, in place of what its type says; or a
            list, with the cost of each, or None where its type is to say it.
        redis_url: Another server than the one that the settings name.

    Returns:
        For each payload the job, or ``BucketFull``, ``CostExceedsBurst`` or
        ``IdempotencyConflict``.

    Raises:
        UnknownJobType: Nothing was enqueued.
        InvalidPayload: Nothing was enqueued; the fields of its ``errors`` begin with the index.
        InvalidCost: Nothing was enqueued; it names the index.
        ValueError: There is not a cost for each payload; nothing was enqueued.
        ValueError, OperatorError: As ``enqueue``; nothing was enqueued.
        NewerBucketError: A newer version of Spigot wrote the bucket; nothing was enqueued.
        redis.RedisError: The server did not answer; it is unknown which jobs were enqueued.
            With an idempotency key all of them can be enqueued again.
    """
    program = _program(redis_url, delay, idempotency_key)
    outcomes = program.enqueue_many(type, payloads, priority, idempotency_key, delay, cost)
    key = idempotency_key or ""
    return [program.told(outcome, f"{key}:{n}") for n, outcome in enumerate(outcomes)]


def _program(redis_url: str | None, delay: float, key: str | None) -> "Program":
    # here and not above, so that modules which only define job types load fast
    from .program import program_at

    if not 0 <= delay <= MOST_DELAY_SECONDS:
        raise ValueError(f"delay must be 0 to {MOST_DELAY_SECONDS} seconds, not {delay}")
    if key == "":  # a header that is not there, perhaps: all such jobs would be one
        raise ValueError("idempotency_key must not be empty; None means no key")
    return program_at(redis_url)
