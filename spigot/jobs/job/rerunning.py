"""Runs a job again: a new job of the same type, payload and priority."""

import zlib
from dataclasses import dataclass
from typing import Any, cast

from pydantic_core import from_json
from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_text, unless_spoilt

from .queue import Priority


@dataclass(frozen=True, slots=True)
class Order:
    """What a job was asked to do.

    Attributes:
        type: The job type; "" for a job of plain RQ.
        payload: All of it, hidden fields too.
        priority: Of its queue.
    """

    type: str
    payload: dict[str, Any]
    priority: Priority


def read_order(redis: Redis, job_id: str) -> Order | None:
    """Return what a job was asked to do; None if there is no such job, or it cannot be read.

    Raises:
        redis.RedisError: The server did not answer.
    """
    if not keys.JOB_ID.fullmatch(job_id):
        return None
    fields = ("spigot_type", "data", "origin")
    found = unless_spoilt(lambda: redis.hmget(keys.job(job_id), *fields), [None] * len(fields))
    type_name, data, queue = found
    if data is None:
        return None
    try:
        payload = from_json(zlib.decompress(data))[3]
        _, priority = keys.split_queue_name(stored_text(queue or b""))
    except (zlib.error, ValueError, LookupError, TypeError):
        return None
    return Order(stored_text(type_name or b""), payload, cast(Priority, priority))
