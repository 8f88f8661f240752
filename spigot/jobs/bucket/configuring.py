"""Sets a bucket's numbers and switches, for which several sources may have a value."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import stored_text, unless_spoilt
from spigot.jobs.store.times import clock_argument
from spigot.runtime.errors import OperatorError, PortableError
from spigot.runtime.rate import Rate

log = logging.getLogger(__name__)

Source = Literal["operator", "file", "default"]
"""Who sets a field; an earlier one wins over a later one."""

Fields = dict[str, str | int]
"""As ``configure.lua`` names them; an empty value takes back what the source set."""

DERIVED = frozenset({"interval_us", "burst"})
"""Fields that follow from another."""


class UnknownBucketError(PortableError, OperatorError):
    """There is no bucket of that name.

    Args:
        name: The name.
        known: Names of all buckets; None if they were not read.
    """

    def __init__(self, name: str, *, known: Iterable[str] | None = None) -> None:
        others = "`spigot bucket list` shows all"
        if known is not None:
            others = f"known: {', '.join(known) or 'none'}"
        super().__init__(f"there is no bucket {name!r}; {others}")


class NewerBucketError(PortableError, OperatorError):
    """A newer version of Spigot wrote the bucket: this one may read it, and no more."""

    def __init__(self, name: str, schema: int) -> None:
        super().__init__(
            f"bucket {name!r} was written by a newer version of Spigot (schema {schema}): "
            "upgrade this one"
        )


@dataclass(frozen=True, slots=True)
class Change:
    """One number or switch that is different now.

    Attributes:
        field: ``rate``, ``capacity``, ``max_running``, ``workers``, ``paused``, ``draining`` or
            ``budget NAME``.
        before: As it was written; "" if it was not set.
        after: The same.
    """

    field: str
    before: str
    after: str


class BucketConfigurer:
    """Writes what a source sets; the fields in force follow in the same step.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._configure = load_script(redis, __package__, "configure.lua")

    def set(
        self,
        name: str,
        changes: Mapping[Source, Fields],
        *,
        by: str = "",
        now_us: int | None = None,
    ) -> list[Change]:
        """Write some fields of one bucket.

        Args:
            name: The bucket.
            changes: What each source sets.
            by: Who changes it, for the log and the bucket's list of changes; "" is not kept.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            What counts and is different now.

        Raises:
            UnknownBucketError: An operator changes a bucket that nobody published.
            NewerBucketError: A newer version published it; nothing was written.
            redis.RedisError: It is unknown whether it was written; doing it again is safe.
        """
        pairs = [
            part
            for source, fields in changes.items()
            for field, value in fields.items()
            for part in (f"{source}_{field}", value)
        ]
        reply = self._configure(
            keys=[keys.bucket(name), keys.buckets()],
            args=[name, by, clock_argument(now_us), *pairs],
        )
        if reply is None:
            raise UnknownBucketError(name)
        if isinstance(reply, int):
            raise NewerBucketError(name, reply)
        made = _changes([stored_text(part) for part in reply])
        is_new = any(change.field == "rate" and not change.before for change in made)
        for change in made if by and not is_new else ():
            log.info("bucket %s: %s by %s", name, describe_change(change), by)
        return made


class BucketHistory:
    """Reads who changed what.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def read(self, name: str) -> list[dict[str, Any]]:
        """Return the last 100 changes of a bucket, newest first.

        Each has ``at`` (RFC 3339), ``by``, and ``changes``: by field what counted before and
        what after.
        """
        records: Any = unless_spoilt(lambda: self._redis.lrange(keys.changes(name), 0, -1), [])
        return [record for stored in records if (record := parse_change_record(stored))]


def parse_change_record(stored: bytes) -> dict[str, Any] | None:
    """Read an entry of a bucket's list of changes; None for what we would not have written."""
    try:
        record = json.loads(stored)
    except ValueError:
        return None
    is_ours = isinstance(record, dict) and {"at", "by", "changes"} <= record.keys()
    return record if is_ours else None


def rate_fields(rate: Rate | None) -> Fields:
    """Return the fields that a rate stands in; None takes a rate back."""
    if rate is None:
        return {"rate": "", "interval_us": "", "burst": ""}
    return {"rate": rate.text, "interval_us": rate.interval_us, "burst": rate.burst}


def describe_change(change: Change) -> str:
    """Return a change as people read it: ``rate 10/s → 5/s``."""
    before, after = (_describe_value(change.field, it) for it in (change.before, change.after))
    return f"{change.field} {before} → {after}"


def _describe_value(field: str, value: str) -> str:
    if field in ("paused", "draining"):
        return "yes" if value else "no"
    return "none" if value in ("", "0") else value


def _changes(parts: list[str]) -> list[Change]:
    triples = zip(parts[::3], parts[1::3], parts[2::3], strict=True)
    return [Change(*triple) for triple in triples if triple[0] not in DERIVED]
