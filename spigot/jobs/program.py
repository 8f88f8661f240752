"""What a Python program needs to enqueue jobs and to follow them: one server, one catalog."""

import json
from collections.abc import Iterable, Iterator
from functools import cache
from hashlib import sha256
from typing import Any, Self

from redis import Redis

from spigot.jobs.bucket.config import load_bucket_configs, with_buckets, with_costs
from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.budgets.declared_cost import (
    Cost,
    CostExceedsBurst,
    Costs,
    InvalidCost,
    costs_of_each,
)
from spigot.jobs.job.cancelling import JobCanceller
from spigot.jobs.job.following import follow
from spigot.jobs.job.new_job import (
    BucketRefusal,
    IdempotencyKey,
    NewJob,
    Outcome,
    Priority,
    Repeated,
    Taken,
)
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.job.state import JobReader, JobState
from spigot.jobs.store.replica_wait import wait_from
from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.payloads import InvalidPayload
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.server_address import check_redis_url
from spigot.runtime.settings import load_settings

from .enqueued_job import EnqueuedJob
from .enqueueing import BucketFull, IdempotencyConflict

REPLY_SECONDS = 5.0
"""How long a program waits for the server."""


class Program:
    """The jobs of one server, as a program sees them.

    Args:
        redis: Connection to the server of the queue side.
        queue: Takes the jobs in.
        keep_seconds: How long a cancelled job is kept, >= 1.
    """

    def __init__(self, redis: Redis, queue: JobQueue, keep_seconds: int) -> None:
        self._redis = redis
        self._queue = queue
        self._reader = JobReader(redis)
        self._canceller = JobCanceller(redis, keep_seconds=keep_seconds)

    @classmethod
    def connect(cls, url: str | None = None) -> Self:
        """Read settings, job types and buckets.

        Args:
            url: Of the server; None takes the one that the settings name, or `spigot up` runs.

        Raises:
            ServerUrlError: The URL cannot be used.
            OperatorError: A setting, an app or a file cannot be used, or there is no server.
        """
        if url is not None:
            check_redis_url(url)
        settings = load_settings() if url is None else load_settings(redis_url=url)
        catalog = JobCatalog.load(choose_apps(settings))
        read = load_bucket_configs(settings.buckets, optional=settings.is_unset("buckets"))
        configs, _ = with_buckets(read, catalog.bucket_names())
        configs = with_costs(configs, catalog.costs())
        wait = wait_from(settings)
        timeout = REPLY_SECONDS + (wait.seconds if wait else 0)
        redis = connect(find_server_url(settings), timeout=timeout)
        keep_seconds = settings.keep_seconds
        queue = JobQueue(redis, catalog, configs, keep_seconds=keep_seconds, wait=wait)
        return cls(redis, queue, settings.keep_seconds)

    def enqueue(
        self,
        type: str,
        payload: Any,
        priority: Priority,
        key: str | None,
        delay: float,
        cost: Cost | None = None,
    ) -> Taken:
        """Put a job into the bucket of its type; see ``JobQueue.enqueue``."""
        request = _request(type, payload, priority, delay, cost)
        return self._queue.enqueue(
            type,
            payload,
            priority,
            idempotency=None if key is None else _idempotency(key, request),
            delay_us=_us(delay),
            cost=cost,
        )

    def enqueue_many(
        self,
        type: str,
        payloads: Iterable[Any],
        priority: Priority,
        key: str | None,
        delay: float,
        costs: Costs | None = None,
    ) -> list[Outcome]:
        """Put jobs into the bucket of their type; see ``JobQueue.enqueue_many``.

        Raises:
            InvalidPayload: Of the first payload that does not fit; nothing was enqueued.
            InvalidCost: Likewise.
            ValueError: There is not a cost for each payload; nothing was enqueued.
        """
        all_payloads = list(payloads)
        each = zip(all_payloads, costs_of_each(costs, len(all_payloads)), strict=True)
        jobs = [
            self._accept(index, type, payload, priority, key, delay, cost)
            for index, (payload, cost) in enumerate(each)
        ]
        return self._queue.enqueue_many(jobs)

    def _accept(
        self,
        index: int,
        type: str,
        payload: Any,
        priority: Priority,
        key: str | None,
        delay: float,
        cost: Cost | None,
    ) -> NewJob:
        request = _request(type, payload, priority, delay, cost)
        idempotency = None if key is None else _idempotency(f"{key}:{index}", request)
        try:
            return self._queue.accept(
                type, payload, priority, idempotency=idempotency, delay_us=_us(delay), cost=cost
            )
        except (InvalidPayload, InvalidCost) as error:
            raise error.of_item(index) from None

    def told(
        self, outcome: Outcome, key: str
    ) -> EnqueuedJob | BucketFull | CostExceedsBurst | IdempotencyConflict:
        """Return what the caller is told of a job.

        Args:
            outcome: What came of it.
            key: Its idempotency key.

        Raises:
            NewerBucketError: A newer version of Spigot wrote the bucket.
        """
        state = outcome.job if isinstance(outcome, Repeated) else outcome
        if isinstance(state, JobState):
            return EnqueuedJob(state, self)
        if isinstance(state, BucketRefusal):
            return BucketFull(str(state), state.bucket, state.retry_after_ms / 1000)
        if isinstance(state, NewerBucketError):
            raise state
        return IdempotencyConflict(key) if state is None else state

    def read(self, job_id: str) -> JobState | None:
        """Return the job as it is now; None if there is none of that id."""
        return self._reader.read(job_id)

    def follow(self, job_id: str, until: float) -> Iterator[JobState | None]:
        """Yield the job now and at each change, until it has ended or ``time.monotonic()`` is."""
        return follow(self._redis, job_id, REPLY_SECONDS, until=until)

    def cancel(self, job_id: str) -> JobState | None:
        """Cancel the job; None if there is none of that id."""
        cancellation = self._canceller.cancel(job_id)
        return None if cancellation is None else cancellation.job


def _as_json(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else str(value)


FINGERPRINTED = json.JSONEncoder(sort_keys=True, default=_as_json)


@cache
def program_at(url: str | None) -> Program:
    """Return the program for a server; it is built once, and its connection is kept."""
    return Program.connect(url)


def _idempotency(key: str, request: Any) -> IdempotencyKey:
    """Keep the keys of programs apart from those of clients, which begin with a digest."""
    text = FINGERPRINTED.encode(request)
    return IdempotencyKey(f"program:{key}", sha256(text.encode()).hexdigest())


def _request(
    type: str, payload: Any, priority: Priority, delay: float, cost: Cost | None
) -> list[Any]:
    """Return what a repeated call must say again."""
    return [type, payload, priority, delay, *([] if cost is None else [cost])]


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
