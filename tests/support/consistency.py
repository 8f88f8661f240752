"""Where each job of a bucket is, and what is inconsistent about that."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from redis import Redis

from spigot.jobs.store import keys

from .processes import wait_for, whole_lines

TERMINAL = {
    "finished": {"finished"},
    "failed": {"failed", "abandoned", "refused"},
    "canceled": {"cancelled"},
}


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the result log, rotated files too; each line that has its end must be whole."""
    files = [*sorted(path.parent.glob(f"{path.stem}.*{path.suffix}")), path]
    return [json.loads(line) for file in files for line in whole_lines(file)]


def kept_lines(redis: Redis, bucket: str) -> list[dict[str, Any]]:
    """Return the lines that no worker has in its file yet, as far as Redis knows."""
    kept = redis.hvals(keys.unlogged(bucket))
    return [json.loads(line.partition(b"\n")[2]) for line in kept]


def wait_for_lines(path: Path, number: int) -> list[dict[str, Any]]:
    """Return the result log once it has that many lines."""
    wait_for(lambda: len(read_lines(path)) >= number)
    return read_lines(path)


def status_of(redis: Redis, job_id: str) -> str:
    """Return RQ's word for the job's state; "" for a job that is not there."""
    return (redis.hget(keys.job(job_id), "status") or b"").decode()


def places(redis: Redis, bucket: str) -> Iterator[tuple[str, str]]:
    """Yield each job that is anywhere, and where."""
    for queue in keys.queue_names(bucket):
        for job_id in redis.lrange(keys.queue(queue), 0, -1):
            yield job_id.decode(), "queued"
        for registry in ("finished", "failed", "canceled", "deferred", "scheduled"):
            for job_id in redis.zrange(f"rq:{registry}:{queue}", 0, -1):
                yield job_id.decode(), registry
    for job_id in redis.zrange(keys.delayed(bucket), 0, -1):
        yield job_id.decode(), "scheduled"
    for token in redis.zrange(keys.leases(bucket), 0, -1):
        yield redis.hget(keys.lease(token.decode()), "job").decode(), "started"


def problems(redis: Redis, bucket: str, accepted: Iterable[str]) -> Iterator[str]:
    """Say what is inconsistent in Redis; nothing if all is well."""
    accepted = set(accepted)
    found: dict[str, list[str]] = {}
    for job_id, place in places(redis, bucket):
        found.setdefault(job_id, []).append(place)
    for job_id in accepted:
        status = status_of(redis, job_id)
        if found.get(job_id) != [status]:
            yield f"job {job_id} is {status} and in {found.get(job_id)}"
    for job_id in found.keys() - accepted:
        yield f"nobody enqueued job {job_id}"
    yield from _traces_of_no_attempt(redis, bucket)
    yield from _held_by_nobody(redis, bucket)


def _held_by_nobody(redis: Redis, bucket: str) -> Iterator[str]:
    """Say which budgets are held by more or less than the living leases."""
    leases: Counter[str] = Counter()
    for token in redis.zrange(keys.leases(bucket), 0, -1):
        reserved = (redis.hget(keys.lease(token.decode()), "budgets") or b"").decode()
        for name, how, amount in (part.split(":") for part in reserved.split()):
            leases[name] += int(amount) if how == "held" else 0
    for field, held in redis.hgetall(keys.budgets(bucket)).items():
        name, _, kind = field.decode().partition(":")
        if kind == "held" and int(held) != leases[name]:
            yield f"{int(held)} of {name} are held, and {leases[name]} by leases"


def _traces_of_no_attempt(redis: Redis, bucket: str) -> Iterator[str]:
    tokens = {token.decode() for token in redis.zrange(keys.leases(bucket), 0, -1)}
    stored = {key.decode().rpartition(":")[2] for key in redis.scan_iter(keys.lease("*"))}
    if tokens != stored:
        yield f"leases {tokens} are listed and {stored} are stored"
    traces = {key.decode().rpartition(":")[2] for key in redis.scan_iter("rq:execution:*")}
    for key in (*redis.scan_iter("rq:wip:*"), *redis.scan_iter("rq:executions:*")):
        traces |= {entry.decode().rpartition(":")[2] for entry in redis.zrange(key, 0, -1)}
    if traces != tokens:
        yield f"RQ shows executions {traces}, leases are {tokens}"


def problems_of_log(
    redis: Redis, lines: list[dict[str, Any]], accepted: Iterable[str], interval: float
) -> Iterator[str]:
    """Say what is wrong with the result log of jobs that have all ended."""
    told: dict[str, Counter[str]] = {}
    for line in lines:
        told.setdefault(line["id"], Counter())[line["status"]] += 1
    for job_id in accepted:
        status = status_of(redis, job_id)
        if not TERMINAL[status] & told.get(job_id, Counter()).keys():
            yield f"job {job_id} is {status} and the log says {told.get(job_id)}"
    slots = sorted({line["slot_at"] for line in lines if line["slot_at"] is not None})
    for earlier, later in pairwise(slots):
        if later - earlier < interval - 2e-6:
            yield f"slots {earlier} and {later} are closer than {interval}"
