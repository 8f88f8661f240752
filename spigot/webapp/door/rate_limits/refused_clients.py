"""Reads which clients were refused most, and by which rule."""

import time
from dataclasses import dataclass
from operator import itemgetter
from typing import cast
from urllib.parse import unquote

from redis import Redis

from spigot.jobs.store.stored_values import stored_text, unless_spoilt

from . import keys
from .refusal_counts import PERIOD_SECONDS, PERIODS


@dataclass(frozen=True, slots=True)
class Refused:
    """How often one rule has refused one client.

    Attributes:
        client: The name it is counted under.
        rule: The rule's name, or ``(ban)`` if an operator banned the client.
        count: Times in the last hour.
    """

    client: str
    rule: str
    count: int


def most_refused(redis: Redis, count: int, prefix: str = "") -> list[Refused]:
    """Return who was refused most in the last hour, most first.

    Args:
        redis: Connection to the door's server.
        count: How many at most, >= 1.
        prefix: In front of all names of the application (``keys.prefix_of``).

    Raises:
        redis.RedisError: The server is away.
    """
    now = int(time.time() // PERIOD_SECONDS)
    periods = [keys.refusals(period, prefix) for period in range(now - PERIODS + 1, now + 1)]
    totals = cast(
        list[tuple[bytes, float]],
        unless_spoilt(lambda: redis.zunion(periods, withscores=True), []),
    )
    totals.sort(key=itemgetter(1), reverse=True)
    return [_refused(stored_text(member), score) for member, score in totals[:count]]


def _refused(member: str, score: float) -> Refused:
    rule, _, client = member.partition(" ")
    return Refused(client, unquote(rule), int(score))
