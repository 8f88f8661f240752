"""Sets aside what a stranger wrote in the place of a key that a bucket cannot do without.

Other keys of another type are read as absent. Without its hash, its leases or its lists a bucket
stands still, so what lies there is moved, and the bucket goes on; ``spigot doctor`` names it.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from redis import Redis

from . import keys
from .stored_values import bucket_names, stored_text, unless_spoilt

log = logging.getLogger(__name__)


def set_aside_spoilt(redis: Redis, hashes: Iterable[str] = ()) -> list[str]:
    """Move whatever is of another type from where buckets need theirs.

    What was set aside from the same place before is replaced.

    Args:
        redis: Connection to the server of the queue side.
        hashes: Hashes of buckets that may not be published yet; other keys are ignored.

    Returns:
        The keys that are free again.

    Raises:
        redis.RedisError: The server did not answer, or forbids it.
    """
    spoilt = [key for key, count in _needed(redis, hashes) if unless_spoilt(count, None) is None]
    for key in spoilt:
        with redis.pipeline() as move:  # in a transaction
            move.copy(key, keys.aside(key), replace=True)
            move.delete(key)
            move.execute()
        log.error("%s held something else, which is at %s now", key, keys.aside(key))
    return spoilt


def needed_keys(bucket: str) -> Iterator[str]:
    """Yield the keys that a bucket cannot do without: its hash, its leases, and its lists."""
    yield keys.bucket(bucket)
    yield keys.leases(bucket)
    yield from map(keys.queue, keys.queue_names(bucket))


def _needed(redis: Redis, hashes: Iterable[str]) -> Iterator[tuple[str, Callable[[], Any]]]:
    """Yield each key that buckets cannot do without, and a command that only its type allows."""
    for name in _buckets(redis, hashes):
        count = {keys.bucket(name): redis.hlen, keys.leases(name): redis.zcard}
        for key in needed_keys(name):
            yield key, partial(count.get(key, redis.llen), key)


def _buckets(redis: Redis, hashes: Iterable[str]) -> set[str]:
    """Return the buckets that are published, those with these hashes, and those that RQ knows."""
    queues = unless_spoilt(lambda: redis.smembers("rq:queues"), set())
    names = [stored_text(queue).removeprefix(keys.queue("")) for queue in queues]
    names += [key.removeprefix(keys.bucket("")) for key in hashes]
    named = {match[1] for name in names if (match := keys.QUEUE.fullmatch(name))}
    return named | set(bucket_names(redis))
