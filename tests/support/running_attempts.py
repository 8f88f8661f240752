"""Attempts that run, as their leases tell of them, without a worker."""

from collections.abc import Iterable

from redis import Redis

from spigot.jobs.store import keys


def run_for(redis: Redis, workers: int, taken: Iterable[float], now_us: int) -> None:
    """Let workers of the bucket ``default`` live, and attempts have run for a while.

    Args:
        redis: Connection to the server.
        workers: How many live.
        taken: Seconds since each attempt was to start; negative: it is yet to.
        now_us: Unix microseconds.
    """
    for number in range(workers):
        redis.zadd(keys.workers("default"), {f"w{number}": now_us // 1000})
    for number, seconds in enumerate(taken):
        redis.zadd(keys.leases("default"), {f"lease-{number}": now_us // 1000})
        redis.hset(keys.lease(f"lease-{number}"), "slot_us", now_us - round(seconds * 1_000_000))
