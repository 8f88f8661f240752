"""Everything that a server holds of jobs and buckets, to see that something changed nothing."""

from typing import Any

from redis import Redis

READERS = {
    b"string": lambda redis, key: redis.get(key),
    b"list": lambda redis, key: redis.lrange(key, 0, -1),
    b"set": lambda redis, key: redis.smembers(key),
    b"zset": lambda redis, key: redis.zrange(key, 0, -1, withscores=True),
    b"hash": lambda redis, key: redis.hgetall(key),
    b"stream": lambda redis, key: redis.xrange(key),
}


def content(redis: Redis) -> dict[bytes, tuple[Any, bool]]:
    """Return the value of each key, and whether it expires.

    The counters of metrics and pages are left out, and what doors keep, whatever their prefix: a
    door that an earlier test made may still write who it refused.
    """
    return {
        key: (READERS[redis.type(key)](redis, key), redis.ttl(key) != -1)
        for key in redis.scan_iter()
        if not key.endswith((b":stats", b":refused"))
        if b"spigot:1:door:" not in key
    }
