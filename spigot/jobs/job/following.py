"""Follows one job from any program, until it has ended."""

import math
import time
from collections.abc import Iterator

from redis import Redis
from redis.exceptions import RedisError

from spigot.jobs.store.primary_watch import PrimaryWatch
from spigot.runtime.server.redis_connection import is_away

from .events import JobEvents
from .state import JobReader, JobState

READ_SECONDS = 1.0
"""How often the job is read although it did not change: its position does."""


def follow(
    redis: Redis, job_id: str, tick_seconds: float, *, until: float = math.inf
) -> Iterator[JobState | None]:
    """Yield the job now, at each change, and at each tick; it ends with the job, or at a time.

    While the server is away it yields what was known last.

    Args:
        redis: Connection to the server of the queue side.
        job_id: The job.
        tick_seconds: For a display that counts down.
        until: When it ends at the latest, by ``time.monotonic()``.

    Yields:
        The job; None, as the last, if there is no such job.

    Raises:
        redis.RedisError: The server refused, or it is away and nothing is known yet.
    """
    reader, events, primary = JobReader(redis), JobEvents(redis), PrimaryWatch(redis)
    try:
        primary.start()
        job = reader.read(job_id)
        read_at = time.monotonic()
        while job is not None and not job.ended and (left := until - time.monotonic()) > 0:
            yield job
            changed = events.wait(min(tick_seconds, left))
            if changed is None or job_id in changed or time.monotonic() > read_at + READ_SECONDS:
                job = _read(reader, job)
                read_at = time.monotonic()
        yield job
    finally:
        events.close()
        primary.close()


def _read(reader: JobReader, known: JobState) -> JobState | None:
    try:
        return reader.read(known.id)
    except RedisError as error:
        if not is_away(error):
            raise
        return known
