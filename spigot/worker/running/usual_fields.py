"""Reads the hash of a usual job, which has a third of the fields that RQ's own way looks for."""

import json
import zlib
from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from operator import itemgetter
from typing import Any

from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.utils import str_to_date

from spigot.jobs.bucket.claim_answers import FIELDS_OF_A_NEW_JOB

from .usual_times import usual_time

USUAL_FIELDS = frozenset(FIELDS_OF_A_NEW_JOB) | {b"started_at", b"last_heartbeat", b"worker_name"}
"""Those of a job that starts for the first time, without callbacks, webhooks or dependencies."""

SHARED_FIELDS = (
    b"status",
    b"origin",
    b"worker_name",
    b"timeout",
    b"result_ttl",
    b"failure_ttl",
)
"""Those that are alike in all jobs of a type that one worker runs."""

shared_values = itemgetter(*SHARED_FIELDS)


def usual_attributes(fields: Mapping[bytes, bytes]) -> dict[str, Any] | None:
    """Return the attributes of RQ's job; None if RQ's own way is to read it.

    Raises:
        ValueError: As RQ's own, for a value that cannot be.
    """
    if not fields.keys() <= USUAL_FIELDS:
        return None
    try:
        shared, data = _shared_attributes(shared_values(fields)), fields[b"data"]
    except KeyError:
        return None
    created_at, description = fields.get(b"created_at"), fields.get(b"description")
    left, intervals = fields.get(b"retries_left"), fields.get(b"retry_intervals")
    if not created_at:  # for which RQ takes the present
        return None
    return shared | {
        "_data": _unpacked(data),
        "description": description.decode() if description else None,
        "created_at": _time(created_at),
        "enqueued_at": _time(fields.get(b"enqueued_at")),
        "started_at": _time(fields.get(b"started_at")),
        "last_heartbeat": _time(fields.get(b"last_heartbeat")),
        "retries_left": int(left) if left else None,
        "retry_intervals": json.loads(intervals) if intervals else None,
        "webhooks": [],
        "meta": {},
        "_dependency_ids": [],
    }


@lru_cache(maxsize=256)
def _shared_attributes(values: tuple[bytes, ...]) -> dict[str, Any]:
    """Return what RQ makes of the shared fields of a job, and of all that it has not."""
    job = Job("any", connection=Redis(), serializer=JSONSerializer)
    job.restore(dict(zip(SHARED_FIELDS, values, strict=True)) | {b"data": b""})
    return vars(job)


def _unpacked(data: bytes) -> bytes:
    try:
        return zlib.decompress(data)
    except zlib.error:
        return data


@lru_cache(maxsize=16)
def _time(stored: bytes | None) -> datetime | None:
    """Return a time; of a job's four, two pairs are mostly alike."""
    if not stored:
        return None
    return usual_time(stored) or str_to_date(stored.decode())
