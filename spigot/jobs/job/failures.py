"""What fails: an index of groups, by bucket, error and place, kept where jobs end.

A hundred failures are one group of a hundred. The scripts that end jobs write it
(``failures.lua``), so that reading it costs the same however many jobs have failed.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_int, stored_text, unless_spoilt
from spigot.jobs.store.times import utc_text

from .details import readable_trace

FIELDS = ("bucket", "error", "place", "types", "count", "first_us", "last_us", "message", "job")


@dataclass(frozen=True, slots=True)
class FailureGroup:
    """Jobs of one bucket that failed with the same error at the same place.

    Attributes:
        id: Of the group: 16 hexadecimal digits.
        bucket: The bucket.
        error: Name of the exception, or of what ended the job (``Abandoned``, ``Refused``).
        place: ``FILE:LINE in FUNCTION`` of the application's last frame; None if nothing was
            raised.
        count: Failures, whatever became of their jobs since.
        types: The job types.
        first_at: When the first of them was, as RFC 3339.
        last_at: When the last was.
        message: Error of the last.
        job: The id of its job.
        traceback: Of the last; None if it was not asked for, or there is none.
    """

    id: str
    bucket: str
    error: str
    place: str | None
    count: int
    types: list[str]
    first_at: str | None
    last_at: str | None
    message: str
    job: str
    traceback: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields."""
        return asdict(self)


class FailureIndex:
    """Reads the groups: 1,000 at most, each for ``SPIGOT_KEEP_SECONDS`` after its last failure.

    All methods may raise ``redis.RedisError``.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def read(self, bucket: str | None = None, *, tracebacks: bool = False) -> list[FailureGroup]:
        """Return the groups, the one that failed last first.

        Args:
            bucket: Only its groups; None: those of all.
            tracebacks: Whether to read one traceback of each group.
        """
        found = unless_spoilt(lambda: self._redis.zrange(keys.failures(), 0, -1, desc=True), [])
        ids = [stored_text(name) for name in found]
        groups = self._read(ids, tracebacks=tracebacks)
        return [group for group in groups if bucket in (None, group.bucket)]

    def find(self, group_id: str) -> FailureGroup | None:
        """Return a group with its traceback; None if there is none of that id."""
        return next(iter(self._read([group_id], tracebacks=True)), None)

    def forget(self, group_id: str) -> bool:
        """Take a group out; its jobs stay failed. Return whether it was there."""
        with self._redis.pipeline() as batch:
            batch.zrem(keys.failures(), group_id)
            batch.delete(keys.failure(group_id))
            return any(batch.execute())

    def _read(self, ids: Sequence[str], *, tracebacks: bool) -> Iterable[FailureGroup]:
        fields = (*FIELDS, "trace") if tracebacks else FIELDS
        with self._redis.pipeline(transaction=False) as batch:
            for group_id in ids:
                batch.hmget(keys.failure(group_id), fields)
            replies = batch.execute(raise_on_error=False)
        for group_id, values in zip(ids, replies, strict=True):
            if isinstance(values, list) and values[0] is not None:
                yield _group(group_id, values)


def _group(group_id: str, values: Sequence[bytes | None]) -> FailureGroup:
    texts = dict(zip(FIELDS, (stored_text(value or b"") for value in values), strict=False))
    return FailureGroup(
        id=group_id,
        bucket=texts["bucket"],
        error=texts["error"],
        place=texts["place"] or None,
        count=stored_int(texts["count"]),
        types=sorted(texts["types"].split("\n")),
        first_at=_moment(texts["first_us"]),
        last_at=_moment(texts["last_us"]),
        message=texts["message"],
        job=texts["job"],
        traceback=readable_trace(values[-1]) if len(values) > len(FIELDS) else None,
    )


def _moment(text: str) -> str | None:
    us = stored_int(text)
    return utc_text(us) if us > 0 else None
