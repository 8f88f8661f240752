"""Times as clients read them, and as scripts take them."""

import time
from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import WithJsonSchema
from redis import Redis

Moment = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time as RFC 3339 writes it, in UTC."""


def utc_text(us: int, *, digits: Literal["seconds", "microseconds"] = "microseconds") -> str:
    """Return Unix microseconds as RFC 3339, down to seconds or microseconds."""
    second, rest_us = divmod(us, 1_000_000)
    return f"{_second_text(second)}{'' if digits == 'seconds' else f'.{rest_us:06}'}Z"


def unix_us(moment: str) -> int:
    """Return an RFC 3339 time as Unix microseconds."""
    found = datetime.fromisoformat(moment)
    return int(found.timestamp()) * 1_000_000 + found.microsecond


@lru_cache(maxsize=64)  # times that are written together are mostly of a few seconds
def _second_text(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat().removesuffix("+00:00")


def server_us(redis: Redis) -> int:
    """Return Unix microseconds on the server's clock.

    Raises:
        redis.RedisError: The server did not answer.
    """
    seconds, micros = redis.time()
    return int(seconds) * 1_000_000 + int(micros)


def minute_text(now_us: int | None) -> tuple[int, str]:
    """Return the present minute since 1970, and how times within it begin: "2026-01-31T12:00:".

    Args:
        now_us: Unix microseconds, which only tests pass; None takes the clock of this machine.
    """
    seconds = int(time.time()) if now_us is None else now_us // 1_000_000
    minute = seconds // 60
    return minute, _second_text(minute * 60)[:-2]


def clock_argument(now_us: int | None) -> int | str:
    """Return the time as a script takes it; "" lets the script ask the server for its clock.

    Args:
        now_us: Unix microseconds, which only tests pass.
    """
    return "" if now_us is None else now_us
