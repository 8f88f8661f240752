"""Checks of what is kept on the server: other programs, and people, may have written there."""

from collections.abc import Callable, Iterator
from typing import Any

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.setting_aside import needed_keys
from spigot.jobs.store.stored_values import bucket_names, stored_int, stored_text, unless_spoilt

from .finding import Finding

OF_A_BUCKET = {
    keys.bucket: "hash",
    keys.wake_up: "list",
    keys.standby_wake_up: "list",
    keys.leases: "sorted set",
    keys.delayed: "sorted set",
    keys.pollers: "sorted set",
    keys.workers: "sorted set",
    keys.unlogged: "hash",
    keys.changes: "list",
    keys.stats: "hash",
    keys.dependents: "set",
}
OF_A_QUEUE = {
    "queue": "list",
    "wip": "sorted set",
    "finished": "sorted set",
    "failed": "sorted set",
    "canceled": "sorted set",
    "scheduled": "sorted set",
    "deferred": "sorted set",
}
PADDING = b"padding"
"""The field of a bucket's counters that is none."""

SEVERAL = {
    keys.buckets(): "set",
    "rq:queues": "set",
    keys.sweep(): "hash",
    keys.missing(): "sorted set",
    keys.sought(): "hash",
}
MEND = "find out who wrote it, and delete it"


def check_keys(redis: Redis) -> list[Finding]:
    """Return a finding for each key and value that cannot be Spigot's or RQ's.

    Args:
        redis: Connection to the server of the queue side, with replies as bytes.
    """
    odd = [*_odd_types(redis), *_set_aside(redis), *_odd_names(redis), *_odd_numbers(redis)]
    return [Finding("keys", False, detail, MEND) for detail in odd]


def is_spoilt(redis: Redis, bucket: str) -> bool:
    """Return whether a key that counts a bucket's workers or jobs is of another type."""
    wanted = {keys.workers(bucket): "sorted set"} | {
        keys.queue(queue): "list" for queue in keys.queue_names(bucket)
    }
    return not all(_is_a(redis, key, kind) for key, kind in wanted.items())


def _is_a(redis: Redis, key: str, kind: str) -> bool:
    """Return whether the key is of that kind, or absent, by what a worker may ask too."""
    ask: dict[str, Callable[[str], Any]] = {
        "hash": redis.hlen,
        "list": redis.llen,
        "sorted set": redis.zcard,
        "set": lambda key: redis.sismember(key, ""),
    }
    return unless_spoilt(lambda: ask[kind](key), None) is not None


def _odd_types(redis: Redis) -> Iterator[str]:
    wanted = dict(SEVERAL)
    for name in bucket_names(redis):
        wanted |= {key(name): kind for key, kind in OF_A_BUCKET.items()}
        for queue in keys.queue_names(name):
            wanted |= {f"rq:{place}:{queue}": kind for place, kind in OF_A_QUEUE.items()}
    yield from (
        f"{key} is no {kind}" for key, kind in wanted.items() if not _is_a(redis, key, kind)
    )


def _set_aside(redis: Redis) -> Iterator[str]:
    for name in bucket_names(redis):
        for key in needed_keys(name):
            if redis.exists(keys.aside(key)):
                yield f"{keys.aside(key)} holds what somebody wrote to {key}"


def _odd_names(redis: Redis) -> Iterator[str]:
    if not _is_a(redis, keys.buckets(), "set"):
        return
    for name in redis.smembers(keys.buckets()):
        if not keys.BUCKET.fullmatch(stored_text(name)):
            yield f"{keys.buckets()} holds {name!r}, which can be no bucket"


def _odd_numbers(redis: Redis) -> Iterator[str]:
    for name in bucket_names(redis):
        if not _is_a(redis, keys.bucket(name), "hash"):
            continue
        for field in ("interval_us", "burst", "capacity", "held_until_us", "last_slot_us"):
            stored = redis.hget(keys.bucket(name), field)
            least = 1 if field in ("interval_us", "burst") else 0
            if stored and stored_int(stored, -1) < least:
                yield f"{field} of {keys.bucket(name)} is {stored!r}"
        yield from _odd_counters(redis, name)


def _odd_counters(redis: Redis, name: str) -> Iterator[str]:
    if _is_a(redis, keys.stats(name), "hash"):
        for field, stored in redis.hgetall(keys.stats(name)).items():
            if field != PADDING and stored_int(stored, -1) < 0:
                yield f"{stored_text(field)} of {keys.stats(name)} is {stored!r}"
