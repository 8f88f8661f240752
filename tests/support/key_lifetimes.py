"""When keys go, whatever time passes between what sets their lifetime and a look at it."""

from collections.abc import Callable

from redis import Redis


def lives_for_ms(redis: Redis, key: str, milliseconds: int, since: Callable[[], object]) -> bool:
    """Return whether a key lives so long from a call on, as exactly as the server can tell."""
    began = _now_ms(redis)
    since()
    ended = _now_ms(redis)
    return began - 1 <= goes_at_ms(redis, key) - milliseconds <= ended + 1


def goes_at_ms(redis: Redis, key: str) -> int:
    """Return the Unix ms at which a key goes, by the server's clock; it may be one more or less."""
    with redis.pipeline() as together:
        together.time()
        together.pttl(key)
        (seconds, micros), left_ms = together.execute()
    return seconds * 1000 + micros // 1000 + left_ms


def _now_ms(redis: Redis) -> int:
    seconds, micros = redis.time()
    return seconds * 1000 + micros // 1000
