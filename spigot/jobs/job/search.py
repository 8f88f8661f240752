"""Looks for jobs by status, bucket, type and text, a bounded number a request."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_text

from .latest_ended import USUAL_KEEP_SECONDS
from .listing import PLACES, JobLister
from .state import JobState

MOST_LOOKED_AT = 2000
"""Jobs that one request looks at, so that it costs the same with 200,000 as with 20."""

AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which jobs.

    Attributes:
        statuses: As clients see them, in the order in which they are listed; empty for all.
        bucket: Of one bucket; None: of all.
        type: Of one job type; None: of all.
        text: In the id, the error or a logged field, upper and lower case alike; "" for any.
    """

    statuses: Sequence[str] = ()
    bucket: str | None = None
    type: str | None = None
    text: str = ""

    @property
    def must_look(self) -> bool:
        """Whether jobs must be read to know which are wanted."""
        return bool(self.type or self.text)


@dataclass(frozen=True, slots=True)
class Found:
    """What one request found.

    Attributes:
        jobs: In the order in which they run or, once they have ended, the latest first.
        total: Jobs of the statuses and buckets, whether they fit or not.
        looked_at: How far the search came, from the first job on.
        next: Where to go on; None if there are no more.
    """

    jobs: list[JobState]
    total: int
    looked_at: int
    next: int | None


class JobSearch:
    """Looks for jobs.

    Args:
        redis: Connection to the server of the queue side.
        keep_seconds: How long ended jobs are kept.
    """

    def __init__(self, redis: Redis, keep_seconds: int = USUAL_KEEP_SECONDS) -> None:
        self._redis = redis
        self._lister = JobLister(redis, keep_seconds)

    def find(self, wanted: Wanted, *, after: int = 0, limit: int = 50) -> Found:
        """Return the next jobs that fit.

        Args:
            wanted: Which.
            after: Jobs to leave out at the beginning: ``next`` of the request before.
            limit: Jobs at most, >= 1.

        Raises:
            UnknownBucketError: There is no such bucket.
            redis.RedisError: The server did not answer.
        """
        buckets = self._lister.bucket_names(wanted.bucket)
        statuses = wanted.statuses or tuple(PLACES)
        jobs: list[JobState] = []
        at, end, total = after, after + MOST_LOOKED_AT, 0
        while at < end and len(jobs) < limit:
            size = min(AT_ONCE, end - at) if wanted.must_look else limit
            page = self._lister.page(statuses, buckets, skip=at, limit=size)
            total = page.total
            for job in self._fitting(page.jobs, wanted):
                jobs.append(job)
            at += size
            if at >= total or not wanted.must_look:
                break
        at = min(at, max(total, after))
        return Found(jobs, total, at, at if at < total else None)

    def _fitting(self, jobs: list[JobState], wanted: Wanted) -> list[JobState]:
        found = [job for job in jobs if wanted.type in (None, job.type)]
        if not wanted.text:
            return found
        text = wanted.text.casefold()
        logged = self._logged([job.id for job in found])
        return [
            job
            for job, fields in zip(found, logged, strict=True)
            if text in f"{job.id}\n{job.error or ''}\n{fields}".casefold()
        ]

    def _logged(self, ids: list[str]) -> list[str]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hget(keys.job(job_id), "spigot_log")
            found = pipeline.execute(raise_on_error=False)
        return [stored_text(value) if isinstance(value, bytes) else "" for value in found]
