"""Groups the jobs that failed by error and place, so that a hundred failures are three lines."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from redis import Redis

from .details import JobDetailsReader
from .listing import JobLister
from .state import JobState

MOST_JOBS = 1000
"""Failed jobs that are looked at, those that failed last."""

AT_ONCE = 100
"""Tracebacks that are read in one round trip."""

FRAME = re.compile(
    r'^[ |]*File "(?P<file>[^"\n]*)", line (?P<line>\d+), in (?P<function>.*)$', re.M
)
BEGINNING = "Traceback (most recent call last):"
FOREIGN = re.compile(r"[/\\](?:site-packages|dist-packages|lib[/\\]python3\.\d+)[/\\]|^<")
"""Where frames lie that are no code of the application."""


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Jobs that failed with the same error at the same place.

    Attributes:
        error: Name of the exception, or of what ended the job.
        place: ``FILE:LINE in FUNCTION`` of the application's last frame; None if nothing was
            raised.
        count: Jobs.
        types: Their job types.
        first_at: When the first of them failed, as RFC 3339; None if nobody noted it.
        last_at: When the last of them failed.
        message: Error of the job that failed last.
        job: Its id.
        traceback: Of that job.
    """

    error: str
    place: str | None
    count: int
    types: list[str]
    first_at: str | None
    last_at: str | None
    message: str | None
    job: str
    traceback: str | None

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Failures:
    """What was found.

    Attributes:
        groups: The one that failed last first.
        jobs: How many failed jobs were looked at.
        total: How many there are.
    """

    groups: list[FailureGroup]
    jobs: int
    total: int


class FailureReader:
    """Reads the failed jobs, the last ``MOST_JOBS`` of them, as long as they are kept.

    Args:
        redis: Connection to the server of the queue side.
        keep_seconds: How long ended jobs are kept.
    """

    def __init__(self, redis: Redis, keep_seconds: int) -> None:
        self._lister = JobLister(redis, keep_seconds)
        self._details = JobDetailsReader(redis)

    def read(self, bucket: str | None = None) -> Failures:
        """Return the groups.

        Args:
            bucket: Only its jobs; None: those of all.

        Raises:
            UnknownBucketError: There is no such bucket.
            redis.RedisError: The server did not answer.
        """
        buckets = self._lister.bucket_names(bucket)
        page = self._lister.page(["failed"], buckets, limit=MOST_JOBS)
        groups: dict[tuple[str, str | None], list[tuple[JobState, str | None]]] = {}
        for job, traceback in zip(page.jobs, self._tracebacks(page.jobs), strict=True):
            key = (_error_name(job.error), place_of(traceback))
            groups.setdefault(key, []).append((job, traceback))
        found = [_group(*key, members) for key, members in groups.items()]
        found.sort(key=lambda group: group.last_at or "", reverse=True)
        return Failures(found, len(page.jobs), page.total)

    def _tracebacks(self, jobs: Sequence[JobState]) -> list[str | None]:
        found: list[str | None] = []
        for start in range(0, len(jobs), AT_ONCE):
            ids = [job.id for job in jobs[start : start + AT_ONCE]]
            found += self._details.read_tracebacks(ids)
        return found


def place_of(traceback: str | None) -> str | None:
    """Return the application's last frame; the last of all if none is the application's."""
    frames = list(FRAME.finditer((traceback or "").rpartition(BEGINNING)[2]))
    if not frames:
        return None
    own = [frame for frame in frames if not FOREIGN.search(frame["file"])]
    frame = (own or frames)[-1]
    return f"{frame['file']}:{frame['line']} in {frame['function']}"


def _error_name(error: str | None) -> str:
    return (error or "").partition(":")[0].strip() or "unknown"


def _group(
    error: str, place: str | None, members: Iterable[tuple[JobState, str | None]]
) -> FailureGroup:
    ordered = sorted(members, key=lambda member: member[0].ended_at or "")
    last, traceback = ordered[-1]
    return FailureGroup(
        error=error,
        place=place,
        count=len(ordered),
        types=sorted({job.type for job, _ in ordered}),
        first_at=ordered[0][0].ended_at,
        last_at=last.ended_at,
        message=last.error,
        job=last.id,
        traceback=traceback,
    )
