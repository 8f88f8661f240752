"""The first digits of a job's id, in place of all 32."""

import re
from collections.abc import Iterable, Iterator

from redis import Redis

from spigot.jobs.job.state import no_such_job
from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_text
from spigot.runtime.errors import OperatorError

FEWEST = 8
"""Characters that an id may be shortened to."""

OUR_IDS = re.compile("[0-9a-f]{32}")
BEGINNING = re.compile("[0-9a-f]{3,7}")
"""What looks like the first digits of one of our ids, and is too short to be looked for."""

AT_ONCE = 1000
"""Keys that the server looks at in one step: well below a millisecond."""

MOST_KEYS = 10_000_000
"""Keys that are looked at for one short id."""


class AmbiguousIdError(OperatorError):
    """Several jobs, or one of more keys than are looked at, may be meant by a short id."""


def whole_id(redis: Redis, text: str) -> str:
    """Return the id of the job whose id begins with ``text``; ``text`` if there is none.

    An id that is whole is taken as it is, at the cost of one round trip at most. A short one is
    looked for among all keys, ``AT_ONCE`` of them a step, so that no other client waits.

    Args:
        redis: Connection to the server of the queue side.
        text: What somebody typed.

    Raises:
        AmbiguousIdError: Several jobs begin so, or the server has more than ``MOST_KEYS`` keys.
        redis.RedisError: The server did not answer.
    """
    if len(text) < FEWEST or OUR_IDS.fullmatch(text) or not keys.JOB_ID.fullmatch(text):
        return text
    if redis.exists(keys.job(text)):
        return text
    found: set[str] = set()
    for job_id in _beginning_with(redis, text):
        found.add(job_id)
        if len(found) > 1:
            raise AmbiguousIdError(
                f"several jobs begin with {text!r}, {' and '.join(sorted(found))} among them: "
                "give more of the id"
            )
    return found.pop() if found else text


def no_such_id(text: str) -> str:
    """Return what to say of an id, as somebody typed it, that no job has."""
    if not BEGINNING.fullmatch(text):
        return no_such_job(text)
    return f"there is no job {text!r}: give {FEWEST} or more characters of its id"


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """Return, for each id of a list, as few of its first characters as tell it from the others.

    They are ``FEWEST`` or more; whether they are unique on the whole server is not known here.
    """
    ordered = sorted(set(ids))
    neighbours = zip(["", *ordered], ordered, [*ordered[1:], ""], strict=False)
    return {
        job_id: job_id[: max(FEWEST, 1 + _in_common(before, job_id), 1 + _in_common(job_id, after))]
        for before, job_id, after in neighbours
    }


def _beginning_with(redis: Redis, text: str) -> Iterator[str]:
    prefix = keys.job("")
    cursor, looked_at = 0, 0
    while True:
        cursor, found = redis.scan(cursor, match=f"{keys.job(text)}*", count=AT_ONCE)
        looked_at += AT_ONCE
        ids = (stored_text(key).removeprefix(prefix) for key in found)
        yield from (job_id for job_id in ids if keys.JOB_ID.fullmatch(job_id))
        if not cursor:
            return
        if looked_at >= MOST_KEYS:
            raise AmbiguousIdError(
                f"the server has more than {MOST_KEYS} keys: give the whole id, not {text!r}"
            )


def _in_common(one: str, other: str) -> int:
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))
