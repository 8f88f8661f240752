"""Enqueues jobs from any Python program."""

from functools import cache
from typing import TYPE_CHECKING, Any

from spigot.runtime.errors import PortableError

if TYPE_CHECKING:
    from spigot.jobs.job.queue import JobQueue, Priority
    from spigot.jobs.job.state import JobState

REPLY_SECONDS = 5.0
"""How long a program waits for the server."""


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


def enqueue(type: str, payload: Any = None, *, priority: "Priority" = "default") -> "JobState":
    """Put a job into the bucket of its type.

    Settings, job types and buckets are read at the first call, and the connection is kept.

    Args:
        type: Name of a job type of the modules in ``SPIGOT_APPS``.
        payload: What the type's function takes: a dict or its model; None is an empty dict.
        priority: ``high`` leaves before ``default``, that before ``low``.

    Returns:
        The job, with its position and estimated start.

    Raises:
        BucketFull: Nothing was enqueued; its ``retry_after`` says when to come back.
        UnknownJobType: Nothing was enqueued.
        InvalidPayload: Nothing was enqueued; its ``errors`` say which field and why.
        ValueError: There is no such priority.
        OperatorError: A setting, an app or ``buckets.json`` cannot be used, or there is no server.
        redis.RedisError: The server did not answer; it is unknown whether the job was enqueued.
    """
    from spigot.jobs.job.queue import BucketRefusal
    from spigot.jobs.job.state import JobState

    outcome = _queue().enqueue(type, {} if payload is None else payload, priority)
    if isinstance(outcome, BucketRefusal):
        raise BucketFull(str(outcome), outcome.bucket, outcome.retry_after_ms / 1000)
    assert isinstance(outcome, JobState)  # only an idempotency key can be repeated
    return outcome


@cache
def _queue() -> "JobQueue":
    # here and not above, so that modules which only define job types load fast
    from spigot.jobs.bucket.config import load_bucket_configs, with_buckets
    from spigot.jobs.job.queue import JobQueue
    from spigot.jobs.types.job_catalog import JobCatalog
    from spigot.runtime.server.redis_connection import connect
    from spigot.runtime.server.server_url import find_server_url
    from spigot.runtime.settings import load_settings

    settings = load_settings()
    catalog = JobCatalog.load(settings.apps)
    configs, _ = with_buckets(load_bucket_configs(settings.buckets), catalog.bucket_names())
    redis = connect(find_server_url(settings), timeout=REPLY_SECONDS)
    return JobQueue(redis, catalog, configs, keep_seconds=settings.keep_seconds)
