"""Reads values from Redis that anybody may have written there: one odd value stops nothing.

``spigot doctor`` says which values are odd; whoever reads them goes on without.
"""

import logging
from collections.abc import Callable
from functools import cache
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from . import keys

log = logging.getLogger(__name__)
SPOILT_INTERVAL_US = 1_000_000
MOST = 2**53
"""What Lua counts exactly; Redis itself counts further."""


def stored_text(stored: bytes | str) -> str:
    """Return the text; bytes that are no UTF-8 become U+FFFD."""
    return stored if isinstance(stored, str) else stored.decode("utf-8", "replace")


def stored_int(stored: bytes | str | None, default: int = 0) -> int:
    """Return the whole number; ``default`` for what is absent, no whole number, or too large."""
    try:
        number = int(stored or "")
    except ValueError:
        return default
    return number if abs(number) <= MOST else default


def interval_us(stored: bytes | str | None) -> int:
    """Return a bucket's interval; a second, as ``bucket.lua`` takes it, for what is none."""
    number = stored_int(stored)
    return number if number >= 1 else SPOILT_INTERVAL_US


def is_spoilt(error: RedisError) -> bool:
    """Return whether a key was refused because it holds another type than ours."""
    return isinstance(error, ResponseError) and "WRONGTYPE" in str(error)


def unless_spoilt(read: Callable[[], Any], otherwise: Any) -> Any:
    """Return what ``read`` returns; ``otherwise`` if the key holds something else.

    Raises:
        redis.RedisError: The server did not answer, or refused for another reason.
    """
    try:
        return read()
    except ResponseError as error:
        if not is_spoilt(error):
            raise
        _say_once(f"a key of Spigot holds something else: {error}")
        return otherwise


def bucket_names(redis: Redis) -> list[str]:
    """Return the names of all published buckets; what can be no name is left out, and logged once.

    Raises:
        redis.RedisError: The server did not answer.
    """
    found: set[bytes] = unless_spoilt(lambda: redis.smembers(keys.buckets()), set())
    names = sorted(stored_text(name) for name in found)
    for name in names:
        if not keys.BUCKET.fullmatch(name):
            _say_once(f"{keys.buckets()} holds {name!r}, which can be no bucket")
    return [name for name in names if keys.BUCKET.fullmatch(name)]


@cache
def _say_once(text: str) -> None:
    log.warning("%s; see `spigot doctor`", text)
