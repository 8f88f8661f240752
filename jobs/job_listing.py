"""Lists jobs by status and bucket, a page at a time, whatever their number."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from math import inf

from redis import Redis
from redis.client import Pipeline

from . import keys
from .errors import OperatorError
from .job_state import TERMINAL, JobReader, JobState

Entry = tuple[float, str]
"""What jobs are sorted by, and a job's id."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the jobs that were asked for.

    Attributes:
        jobs: In the order in which they run or, once they have ended, the latest first.
        total: How many there are on all pages.
    """

    jobs: list[JobState]
    total: int


class NoSuchBucketError(OperatorError):
    """There is no bucket of that name."""


class JobLister:
    """Lists jobs.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._reader = JobReader(redis)

    def bucket_names(self, only: str | None = None) -> list[str]:
        """Return the names of all buckets.

        Args:
            only: Leaves no other than this one.

        Raises:
            NoSuchBucketError: There is no bucket ``only``.
        """
        found: set[bytes] = self._redis.smembers(keys.buckets())  # type: ignore[assignment]
        names = sorted(name.decode() for name in found)
        if only is None:
            return names
        if only not in names:
            known = ", ".join(names) or "none"
            raise NoSuchBucketError(f"there is no bucket {only!r}; known: {known}")
        return [only]

    def page(
        self, statuses: Iterable[str], buckets: Sequence[str], *, skip: int = 0, limit: int = 50
    ) -> Page:
        """Return one page.

        Args:
            statuses: As clients see them, in the order in which they are to be listed.
            buckets: Names.
            skip: Jobs to leave out at the beginning, >= 0.
            limit: Jobs on the page, >= 1.

        Raises:
            redis.RedisError: The server did not answer.
        """
        ids: list[str] = []
        total = 0
        for status in statuses:
            entries, count = self._entries(status, buckets, max(0, skip + limit - total))
            ids += [job_id for _, job_id in entries]
            total += count
        found = self._reader.read_many(ids[skip : skip + limit])
        return Page([job for job in found if job is not None], total)

    def _entries(self, status: str, buckets: Iterable[str], limit: int) -> tuple[list[Entry], int]:
        """Return the first ``limit`` jobs of a status, and how many there are."""
        places = [place for bucket in buckets for place in PLACES[status](bucket)]
        with self._redis.pipeline(transaction=False) as pipeline:
            for place in places:
                place.ask(pipeline, max(1, limit))
            replies = pipeline.execute()
        entries: list[Entry] = []
        for place, found in zip(places, replies[1::2], strict=True):
            entries += place.read(found)
        if status != "queued":
            entries.sort(reverse=status in TERMINAL)
        return entries[:limit], sum(replies[::2])


@dataclass(frozen=True, slots=True)
class _List:
    """A queue: the jobs are in the order in which they leave."""

    key: str

    def ask(self, pipeline: Pipeline, limit: int) -> None:
        pipeline.llen(self.key)
        pipeline.lrange(self.key, 0, limit - 1)

    def read(self, found: list[bytes]) -> list[Entry]:
        return [(0, job_id.decode()) for job_id in found]


@dataclass(frozen=True, slots=True)
class _SortedSet:
    """Jobs by time.

    Attributes:
        unit_ms: Of the scores; 0 if they are no times of interest.
        latest_first: Whether the list begins with the highest.
    """

    key: str
    unit_ms: int
    latest_first: bool = False

    def ask(self, pipeline: Pipeline, limit: int) -> None:
        pipeline.zcard(self.key)
        pipeline.zrange(self.key, 0, limit - 1, desc=self.latest_first, withscores=True)

    def read(self, found: list[tuple[bytes, float]]) -> list[Entry]:
        return [
            (score * self.unit_ms if self.unit_ms else inf, job_id.decode().partition(":")[0])
            for job_id, score in found
        ]


Places = Callable[[str], Sequence[_List | _SortedSet]]


def _waiting(bucket: str) -> list[_List]:
    return [_List(keys.queue(queue)) for queue in keys.queue_names(bucket)]


def _registry(name: str, unit_ms: int, latest_first: bool = False) -> Places:
    return lambda bucket: [
        _SortedSet(f"rq:{name}:{queue}", unit_ms, latest_first)
        for queue in keys.queue_names(bucket)
    ]


def _delayed(bucket: str) -> list[_List | _SortedSet]:
    ours = _SortedSet(keys.delayed(bucket), 1)
    return [ours, *_registry("scheduled", 1000)(bucket), *_registry("deferred", 0)(bucket)]


PLACES: dict[str, Places] = {
    "started": _registry("wip", 0),
    "queued": _waiting,
    "delayed": _delayed,
    "failed": _registry("failed", 1000, latest_first=True),
    "cancelled": _registry("canceled", 1000, latest_first=True),
    "finished": _registry("finished", 1000, latest_first=True),
}
"""Where the jobs of a status are; the order is that of a list of all jobs."""
