"""How long ago something was, on the server's clock."""

from redis import Redis

from spigot.jobs.overview.words import span_text, unix_us


def server_us(redis: Redis) -> int:
    """Return Unix microseconds on the server's clock.

    Raises:
        redis.RedisError: The server did not answer.
    """
    seconds, micros = redis.time()
    return int(seconds) * 1_000_000 + int(micros)


def ago_text(moment: str | None, now_us: int) -> str:
    """Return how long ago an RFC 3339 time was, such as ``3 min ago``; "" for none."""
    return f"{span_text(max(0, now_us - unix_us(moment)) / 1_000_000)} ago" if moment else ""
