"""Checks whether jobs are missing: in no place, so that no worker would ever come to them."""

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import bucket_names, stored_int, unless_spoilt
from spigot.jobs.store.times import server_us
from spigot.runtime.count_text import count_text

from .finding import Finding


def check_lost_jobs(redis: Redis) -> Finding:
    """Return how many jobs are missing, and how many were brought back since the buckets exist.

    Args:
        redis: Connection to the server of the queue side, with replies as bytes.
    """
    missing = unless_spoilt(lambda: redis.zcard(keys.missing()), 0)
    missing += unless_spoilt(lambda: redis.hlen(keys.sought()), 0)
    jobs = count_text(missing, "job is", "jobs are")
    detail = f"{jobs} missing, {_brought_back(redis)} were brought back so far"
    mend = "leave a worker running: it brings back within a minute those that are in no place"
    return Finding("lost jobs", missing == 0, f"{detail}; {_last_round(redis)}", mend)


def _brought_back(redis: Redis) -> int:
    return sum(
        stored_int(stored)
        for name in bucket_names(redis)
        for field, stored in _counters(redis, name).items()
        if field.startswith(b"brought_back:")
    )


def _counters(redis: Redis, name: str) -> dict[bytes, bytes]:
    found: dict[bytes, bytes] = unless_spoilt(lambda: redis.hgetall(keys.stats(name)), {})
    return found


def _last_round(redis: Redis) -> str:
    begun_ms = stored_int(unless_spoilt(lambda: redis.hget(keys.sweep(), "begun_ms"), None))
    if not begun_ms:
        return "no worker has looked yet, or in the last half hour"
    seconds = max(0, server_us(redis) // 1_000_000 - begun_ms // 1000)
    return f"workers began to look {seconds} s ago"
