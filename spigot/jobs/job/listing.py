"""Lists jobs by status and bucket, a page at a time, whatever their number."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import merge
from itertools import chain, islice
from math import inf

from redis import Redis
from redis.client import Pipeline

from spigot.jobs.bucket.configuring import UnknownBucketError
from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import bucket_names, stored_text

from .latest_ended import MOST_BY_END, USUAL_KEEP_SECONDS, Entry, LatestEnded
from .state import TERMINAL, JobReader, JobState

AT_ONCE = 1000
"""Entries that one command reads, so that a far page keeps no other from the server for long."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the jobs that were asked for.

    Attributes:
        jobs: In the order in which they run or, once they have ended, the latest first; beyond the
            first ``MOST_BY_END``, those that are kept longest.
        total: How many there are on all pages.
    """

    jobs: list[JobState]
    total: int


class JobLister:
    """Lists jobs.

    Args:
        redis: Connection to the server of the queue side.
        keep_seconds: How long ended jobs are kept.
    """

    def __init__(self, redis: Redis, keep_seconds: int = USUAL_KEEP_SECONDS) -> None:
        self._latest = LatestEnded(redis, keep_seconds)
        self._redis = redis
        self._reader = JobReader(redis)

    def bucket_names(self, only: str | None = None) -> list[str]:
        """Return the names of all buckets.

        Args:
            only: Leaves no other than this one.

        Raises:
            UnknownBucketError: There is no bucket ``only``.
        """
        names = bucket_names(self._redis)
        if only is None:
            return names
        if only not in names:
            raise UnknownBucketError(only, known=names)
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
            places = [place for bucket in buckets for place in PLACES[status](bucket)]
            counts = self._counts(places)
            wanted = range(max(0, skip - total), min(sum(counts), skip + limit - total))
            if wanted:
                ids += self._ids(status, places, counts, wanted)
            total += sum(counts)
        found = self._reader.read_many(ids)
        return Page([job for job in found if job is not None], total)

    def _counts(self, places: Sequence["Place"]) -> list[int]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for place in places:
                place.ask_count(pipeline)
            found = pipeline.execute(raise_on_error=False)  # a key of another type holds no job
        replies = iter(reply if isinstance(reply, int) else 0 for reply in found)
        return [place.read_count(replies) for place in places]

    def _ids(
        self, status: str, places: Sequence["Place"], counts: Sequence[int], wanted: range
    ) -> list[str]:
        """Return the ids of some jobs of a status, given which of them all are wanted."""
        if status in TERMINAL and wanted.stop <= MOST_BY_END:
            registries = [place.key for place in places if isinstance(place, _SortedSet)]
            latest, _ = self._latest.entries(registries, wanted.stop)
            return [job_id for _, job_id in latest[wanted.start :]]
        used = [place for place, count in zip(places, counts, strict=True) if count]
        if len(used) == 1:
            entries = used[0].entries(self._redis, wanted.start)
            return [job_id for _, job_id in islice(entries, len(wanted))]
        every = (place.entries(self._redis, 0) for place in used)
        latest_first = status in TERMINAL
        merged = (
            chain.from_iterable(every)
            if status == "queued"
            else merge(*every, key=lambda entry: entry[0], reverse=latest_first)
        )
        return [job_id for _, job_id in islice(merged, wanted.start, wanted.stop)]


@dataclass(frozen=True, slots=True)
class _List:
    """A queue: the jobs are in the order in which they leave."""

    queue: str

    def ask_count(self, pipeline: Pipeline) -> None:
        """Ask how many jobs there are."""
        pipeline.llen(keys.queue(self.queue))
        pipeline.zcard(keys.blanks(self.queue))

    def read_count(self, replies: Iterator[int]) -> int:
        """Return how many jobs there are."""
        return max(0, next(replies) - next(replies))

    def entries(self, redis: Redis, skip: int) -> Iterator[Entry]:
        """Give out the jobs in their order, without the first ones."""
        has_blanks = redis.exists(keys.blanks(self.queue))
        jobs = self._jobs(redis, 0 if has_blanks else skip)
        return islice(jobs, skip, None) if has_blanks else jobs

    def _jobs(self, redis: Redis, start: int) -> Iterator[Entry]:
        while found := redis.lrange(keys.queue(self.queue), start, start + AT_ONCE - 1):
            yield from ((0, stored_text(job_id)) for job_id in found if job_id)
            start += AT_ONCE


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

    def ask_count(self, pipeline: Pipeline) -> None:
        """Ask how many jobs there are."""
        pipeline.zcard(self.key)

    def read_count(self, replies: Iterator[int]) -> int:
        """Return how many jobs there are."""
        return next(replies)

    def entries(self, redis: Redis, skip: int) -> Iterator[Entry]:
        """Give out the jobs in their order, without the first ones."""
        while found := self._slice(redis, skip):
            for job_id, score in found:
                time = score * self.unit_ms if self.unit_ms else inf
                yield time, stored_text(job_id).partition(":")[0]
            skip += AT_ONCE

    def _slice(self, redis: Redis, start: int) -> list[tuple[bytes, float]]:
        return redis.zrange(  # type: ignore[return-value]  # with scores
            self.key, start, start + AT_ONCE - 1, desc=self.latest_first, withscores=True
        )


Place = _List | _SortedSet

Places = Callable[[str], Sequence[Place]]


def _waiting(bucket: str) -> list[_List]:
    return [_List(queue) for queue in keys.queue_names(bucket)]


def _registry(name: str, unit_ms: int, latest_first: bool = False) -> Places:
    return lambda bucket: [
        _SortedSet(f"rq:{name}:{queue}", unit_ms, latest_first)
        for queue in keys.queue_names(bucket)
    ]


def _delayed(bucket: str) -> list[Place]:
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
