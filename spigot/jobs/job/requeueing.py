"""Lets jobs that failed wait again."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from redis import Redis

from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import stored_text
from spigot.jobs.store.times import clock_argument

from .queue import BucketRefusal
from .state import JobState, parse_state

AT_ONCE = 50
"""Jobs that one script requeues, so that it does not keep the server from the others for long."""

REFUSALS = (b"full", b"draining", b"newer", b"unpublished")


class PlainQueueError(Exception):
    """The job is in a queue of plain RQ that belongs to no bucket: requeue it with RQ's tools."""


@dataclass(frozen=True, slots=True)
class NotFailed:
    """Nothing was changed: only failed jobs can be requeued.

    Attributes:
        job: As it is.
    """

    job: JobState


@dataclass(frozen=True, slots=True)
class Requeued:
    """What came of requeueing many.

    Attributes:
        count: Jobs that wait again.
        refused: Why the others of a bucket were left; one per bucket that became full.
    """

    count: int
    refused: tuple[BucketRefusal, ...]


class JobRequeuer:
    """Requeues failed jobs, with all their retries; a full bucket refuses them as it does others.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._requeue = load_script(redis, __package__, "requeue.lua")
        self._requeue_failed = load_script(redis, __package__, "requeue_failed.lua")

    def requeue(
        self, job_id: str, *, now_us: int | None = None
    ) -> JobState | NotFailed | BucketRefusal | None:
        """Let one job wait at the end of its queue.

        Args:
            job_id: The job.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            The job, or why it was not requeued; None if there is no such job.

        Raises:
            PlainQueueError: Nothing was changed.
            NewerBucketError: As PlainQueueError; a newer version of Spigot wrote the bucket.
            redis.RedisError: It is unknown whether it was requeued; doing it again is harmless.
        """
        if not keys.JOB_ID.fullmatch(job_id):
            return None
        return _read(job_id, self._requeue(args=[job_id, clock_argument(now_us)]))

    def requeue_all_failed(self, buckets: Iterable[str]) -> Requeued:
        """Requeue the jobs that have failed until now, the oldest first.

        Args:
            buckets: Names of those whose jobs are meant.

        Raises:
            redis.RedisError: Some may have been requeued; doing it again is harmless.
        """
        count, refused = 0, {}
        for bucket in buckets:
            for queue in keys.queue_names(bucket):
                requeued, full = self.requeue_failed_of(queue)
                count += requeued
                if full:
                    refused[bucket] = full
        return Requeued(count, tuple(refused.values()))

    def requeue_failed_of(self, queue: str) -> tuple[int, BucketRefusal | None]:
        """Requeue the jobs of one queue that have failed until now, the oldest first.

        Returns:
            How many wait again, and why the others were left.

        Raises:
            PlainQueueError: Nothing was changed.
            NewerBucketError: As PlainQueueError; a newer version of Spigot wrote the bucket.
            redis.RedisError: Some may have been requeued; doing it again is harmless.
        """
        left, kept, count = self._redis.zcard(keys.failed(queue)), 0, 0
        while left > 0:
            requeued, looked, refused = self._requeue_failed(
                args=[queue, kept, min(AT_ONCE, left), ""]
            )
            count += requeued
            if refused:
                return count, _full(queue, refused)
            kept += looked - requeued
            left -= looked or left
        return count, None


def _read(job_id: str, reply: list[Any]) -> JobState | NotFailed | BucketRefusal | None:
    if reply[0] in REFUSALS:
        return _full(job_id, reply)
    job = parse_state(job_id, reply)
    return NotFailed(job) if job is not None and reply[0] == b"kept" else job


def _full(what: str, reply: list[Any]) -> BucketRefusal:
    match reply:
        case [b"full" | b"draining" as word, bucket, retry_after_ms]:
            return BucketRefusal(stored_text(bucket), word == b"draining", retry_after_ms)
        case [b"newer", bucket, schema]:
            raise NewerBucketError(stored_text(bucket), schema)
    raise PlainQueueError(f"{what!r} is, or is in, a queue that belongs to no bucket")
