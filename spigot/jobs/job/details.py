"""What only an operator is told of a job: payload, traceback, worker; hidden fields are masked."""

import base64
import json
import zlib
from dataclasses import asdict, dataclass
from typing import Any

from pydantic_core import from_json
from redis import Redis, RedisError

from spigot.jobs.budgets.amounts import to_json
from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import is_spoilt, stored_text
from spigot.jobs.types.hidden_fields import masked

FIELDS = (
    "data",
    "spigot_type",
    "spigot_hidden",
    "worker_name",
    "spigot_cost",
    "spigot_cost_actual",
)
FAILED, RETRIED = b"2", b"4"
"""What RQ calls results of attempts that raised, in ``rq.results.Result.Type``."""


@dataclass(frozen=True, slots=True)
class JobDetails:
    """What the function is given, how it failed last, and who ran it.

    Attributes:
        payload: As it was sent; of a plain RQ job its keyword arguments, or ``args`` and
            ``kwargs``. None if it cannot be read.
        traceback: Of the last attempt that raised, from the frames of the function on; None once
            the job has finished, or if nothing was raised.
        worker: Name of the worker that runs the job, or ran it last.
        cost: What it takes of each budget; None in a bucket without budgets.
        cost_actual: What its last attempt said that it used; None if it said nothing.
    """

    payload: Any = None
    traceback: str | None = None
    worker: str | None = None
    cost: dict[str, int | float] | None = None
    cost_actual: dict[str, int | float] | None = None

    def to_json(self) -> dict[str, Any]:
        """Return the fields as the HTTP interface shows them."""
        return asdict(self)


class JobDetailsReader:
    """Reads the details of jobs, one round trip each.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def read(self, job_id: str) -> JobDetails:
        """Return the details of a job; empty ones if there is no such job.

        Raises:
            redis.RedisError: The server did not answer.
        """
        with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.hmget(keys.job(job_id), *FIELDS)
            pipeline.xrevrange(f"rq:results:{job_id}", count=1)
            replies = pipeline.execute(raise_on_error=False)
        data, type_name, hidden, worker, *costs = _unless_spoilt(replies[0], [None] * len(FIELDS))
        results = _unless_spoilt(replies[1], [])
        return JobDetails(
            payload=_payload(data, hidden, is_ours=bool(type_name)),
            traceback=_traceback(results[0][1]) if results else None,
            worker=worker.decode("utf-8", "replace") if worker else None,
            cost=to_json(stored_text(costs[0] or b"")),
            cost_actual=to_json(stored_text(costs[1] or b"")),
        )


def _unless_spoilt(reply: Any, otherwise: list[Any]) -> Any:
    """Return the reply; ``otherwise`` if the key holds something else."""
    if not isinstance(reply, RedisError):
        return reply
    if not is_spoilt(reply):
        raise reply
    return otherwise


def _payload(data: bytes | None, hidden: bytes | None, *, is_ours: bool) -> Any:
    try:
        _, _, args, kwargs = from_json(zlib.decompress(data or b""))
        paths = json.loads(hidden or b"[]")
    except (zlib.error, ValueError, TypeError):  # a pickle, or nothing
        return None
    shown = masked(kwargs, paths)
    return shown if is_ours or not args else {"args": args, "kwargs": shown}


def readable_trace(stored: bytes | None) -> str | None:
    """Return a traceback that is kept as RQ keeps it; None if there is none that can be read."""
    try:
        return zlib.decompress(base64.b64decode(stored or b"")).decode("utf-8", "replace")
    except (zlib.error, ValueError):
        return None


def _traceback(result: dict[bytes, bytes]) -> str | None:
    raised = result.get(b"type") in (FAILED, RETRIED)
    return readable_trace(result.get(b"exc_string")) if raised else None
