"""Where a job is, as clients see it."""

import base64
import json
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from dataclasses import fields as dataclass_fields
from typing import Any, Literal

from pydantic.json_schema import SkipJsonSchema
from pydantic_core import from_json
from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import stored_int, stored_text
from spigot.jobs.store.times import Moment, clock_argument, utc_text
from spigot.jobs.types.progress import Progress

Status = Literal["queued", "delayed", "started", "finished", "failed", "cancelled"]

STATUS: dict[str, Status] = {
    "created": "queued",
    "queued": "queued",
    "deferred": "delayed",
    "scheduled": "delayed",
    "started": "started",
    "finished": "finished",
    "failed": "failed",
    "canceled": "cancelled",
    "stopped": "cancelled",
}
"""Our word for each of RQ's."""

TERMINAL = frozenset({"finished", "failed", "cancelled"})
SHOWS_ERROR = frozenset({"queued", "delayed", "failed", "cancelled"})
"""A job that waits shows why it is run again."""

SUCCESSFUL_RESULT = b"1"


def no_such_job(job_id: str) -> str:
    """Return what is said of a job that is not there."""
    return f"there is no job {job_id!r}: it never was, or it ended long ago"


@dataclass(frozen=True, slots=True)
class JobState:
    """One job at one moment; the fields are those of the HTTP interface.

    Attributes:
        position: 1 for the next job to leave; None once it has been claimed.
        estimated_start_at: RFC 3339; of a delayed job the time it waits for. None if it has been
            claimed or its bucket is paused.
        estimated_start_in: The same as seconds from now.
        attempts: Starts so far, of any kind.
        progress: How far it is, as it reported last.
        result: What the function returned.
        error: One line with the exception's name; of a job that waits, why it is run again.
        revision: Grows with each change; not shown to clients.
    """

    id: str
    type: str
    status: Status
    bucket: str
    priority: str
    position: int | None
    estimated_start_at: Moment | None
    estimated_start_in: float | None
    attempts: int
    enqueued_at: Moment | None
    started_at: Moment | None
    ended_at: Moment | None
    progress: Progress | None
    result: Any
    error: str | None
    revision: SkipJsonSchema[int]

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to the job by itself."""
        return self.status in TERMINAL

    def to_json(self) -> dict[str, Any]:
        """Return the job as the HTTP interface shows it."""
        fields = {field.name: getattr(self, field.name) for field in dataclass_fields(self)}
        del fields["revision"]
        return fields


class JobReader:
    """Reads jobs, one round trip each, whatever the length of the queue.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._read = load_script(redis, __package__, "read_job.lua")

    def read(self, job_id: str, now_us: int | None = None) -> JobState | None:
        """Return the job, or None if there is none of that id.

        Raises:
            redis.RedisError: The server did not answer.
        """
        if not keys.JOB_ID.fullmatch(job_id):  # RQ keeps other types under rq:job:ID:dependents
            return None
        return parse_state(job_id, self._read(args=[job_id, clock_argument(now_us)]))

    def read_many(self, job_ids: Iterable[str]) -> list[JobState | None]:
        """Return the jobs in this order, all in one round trip; None for those that are not there.

        Args:
            job_ids: Ids that a server gave, not a client.

        Raises:
            redis.RedisError: The server did not answer.
        """
        ids = list(job_ids)
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                self._read(args=[job_id, ""], client=pipeline)
            return [parse_state(*found) for found in zip(ids, pipeline.execute(), strict=True)]


def parse_state(job_id: str, reply: list[Any]) -> JobState | None:
    """Read what ``describe`` in ``job_state.lua`` returned."""
    _, now_us, position, start_us, flat, result = reply
    fields = _text_fields(flat)
    if not fields:
        return None
    status = STATUS.get(fields.get("status", ""), "queued")
    bucket, priority = _bucket_and_priority(fields.get("origin", ""))
    begun = status not in ("queued", "delayed")
    return JobState(
        id=job_id,
        type=fields.get("spigot_type") or function_name(fields.get("data", "")),
        status=status,
        bucket=bucket,
        priority=priority,
        position=position or None,
        estimated_start_at=utc_text(start_us) if start_us else None,
        estimated_start_in=max(0, start_us - now_us) / 1_000_000 if start_us else None,
        attempts=stored_int(fields.get("spigot_attempts")),
        enqueued_at=fields.get("enqueued_at") or None,
        started_at=(fields.get("started_at") or None) if begun else None,
        ended_at=(fields.get("ended_at") or None) if status in TERMINAL else None,
        progress=_progress(fields.get("spigot_progress")),
        result=_returned(result) if status == "finished" else None,
        error=_error(fields, result, status),
        revision=stored_int(fields.get("spigot_revision")),
    )


def function_name(data: str) -> str:
    """Return the dotted name of the function that plain RQ was asked to run; "" if unreadable."""
    raw = data.encode("latin-1")
    try:
        name = json.loads(zlib.decompress(raw))[0]
    except (zlib.error, ValueError, LookupError, TypeError):
        return ""
    return str(name)


def _text_fields(flat: list[bytes]) -> dict[str, str]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {
        stored_text(name): value.decode("latin-1" if name == b"data" else "utf-8", "replace")
        for name, value in pairs
    }


def _bucket_and_priority(queue: str) -> tuple[str, str]:
    try:
        return keys.split_queue_name(queue)
    except ValueError:
        return queue, "default"


def _result_fields(flat: list[bytes]) -> dict[bytes, bytes]:
    return dict(zip(flat[::2], flat[1::2], strict=True))


def _returned(flat: list[bytes]) -> Any:
    fields = _result_fields(flat)
    if fields.get(b"type") != SUCCESSFUL_RESULT or b"return_value" not in fields:
        return None
    try:
        return from_json(base64.b64decode(fields[b"return_value"]), allow_inf_nan=False)
    except ValueError:
        # a stock worker ran it and pickled what it returned, or it is no JSON that every client
        # can read: not a number, half a surrogate pair, or more than 200 levels deep
        return None


def _progress(stored: str | None) -> Any:
    try:
        return json.loads(stored) if stored else None
    except ValueError:  # no progress that a function reported
        return None


def _error(fields: dict[str, str], flat: list[bytes], status: str) -> str | None:
    if status in SHOWS_ERROR and "spigot_error" in fields:
        return fields["spigot_error"]
    trace = _result_fields(flat).get(b"exc_string") if status == "failed" else None
    if trace is None:
        return None
    try:
        lines = stored_text(zlib.decompress(base64.b64decode(trace))).strip().splitlines()
    except (zlib.error, ValueError):  # nothing that RQ would have written
        return None
    return lines[-1] if lines else None
