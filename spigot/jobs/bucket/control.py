"""What an operator can do to a bucket while it runs; fleet-wide, from the next leak on."""

from typing import Any

from pydantic import BaseModel, ConfigDict, PositiveInt, field_validator
from redis import Redis

from spigot.jobs.budgets.budget_change import BudgetChange, altered
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import stored_text
from spigot.jobs.store.times import clock_argument
from spigot.runtime.rate import Rate

from .configuring import BucketConfigurer, Change, Fields, UnknownBucketError, rate_fields

PURGED_AT_ONCE = 500
"""Jobs that one script cancels, so that it does not keep the server from the others for long."""


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        del field["default"]


class OperatorSettings(BaseModel):
    """What an operator may set of a bucket; the fields that are set count until ``reset``."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        use_attribute_docstrings=True,
        json_schema_extra=_without_defaults,  # a field that is not set stays what it was
    )

    rate: Rate = Rate.parse("10/s")
    """Jobs that may start, over the whole fleet."""

    capacity: PositiveInt = 1000
    """Jobs that may wait."""

    max_running: PositiveInt | None = None
    """Jobs that may run at once, over the whole fleet; null for any number."""

    paused: bool = False
    """Whether no job leaves."""

    draining: bool = False
    """Whether no job is taken in."""

    budgets: dict[str, BudgetChange] = {}
    """Limits and bursts of budgets, by name; `{"tokens": "90000/m"}` keeps its burst."""

    def fields(self) -> Fields:
        """Return the fields that are set, but for budgets, as ``configure.lua`` names them."""
        numbers: dict[str, Fields] = {
            "rate": rate_fields(self.rate),
            "capacity": {"capacity": self.capacity},
            "max_running": {"max_running": self.max_running or 0},
            "paused": {"paused": 1 if self.paused else ""},
            "draining": {"draining": 1 if self.draining else ""},
        }
        changed = (numbers[name] for name in numbers if name in self.model_fields_set)
        return {name: value for fields in changed for name, value in fields.items()}


class BucketChange(OperatorSettings):
    """What an operator changes in a bucket: settings, and the end of a hold."""

    held_until: None = None
    """null ends a hold."""

    @field_validator("held_until", mode="before")
    @classmethod
    def _only_ends_a_hold(cls, value: object) -> None:
        if value is not None:
            raise ValueError("only null can be said, which ends a hold; `paused` lets no job leave")


class BucketControl:
    """Changes buckets in the name of somebody, whom the log and the list of changes name.

    Args:
        redis: Connection to the server of the queue side.
        by: Who, such as ``ada@host``.
    """

    def __init__(self, redis: Redis, by: str) -> None:
        self._redis = redis
        self._by = by
        self._configurer = BucketConfigurer(redis)
        self._release = load_script(redis, __package__, "release.lua")
        self._purge = load_script(redis, __package__, "purge.lua")

    def set(self, name: str, change: BucketChange, now_us: int | None = None) -> list[Change]:
        """Set an operator's numbers and switches, which win over the file's.

        Args:
            name: The bucket.
            change: What is different from now on.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            What counts and is different now.

        Raises:
            UnknownBucketError: There is no bucket of that name.
            BudgetChangeError: It has no such budget, or the budget's numbers would not fit.
            redis.RedisError: It is unknown whether it was done; doing it again is safe.
        """
        fields = change.fields()
        if change.budgets:
            stored = self._redis.hmget(keys.bucket(name), "interval_us", "budgets")
            if stored[0] is None:
                raise UnknownBucketError(name)
            fields["budgets"] = altered(name, stored_text(stored[1] or b""), change.budgets)
        return self._configurer.set(name, {"operator": fields}, by=self._by, now_us=now_us)

    def reset(self, name: str) -> list[Change]:
        """Take back all numbers and switches that operators set.

        Raises:
            As ``set``.
        """
        nothing: Fields = dict.fromkeys(OperatorSettings.model_fields, "")
        nothing |= rate_fields(None)
        return self._configurer.set(name, {"operator": nothing}, by=self._by)

    def release(self, name: str, now_us: int | None = None) -> str:
        """End a hold.

        Args:
            name: The bucket.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            Until when it was held, RFC 3339; "" if it was not.

        Raises:
            UnknownBucketError: There is no bucket of that name.
            redis.RedisError: It is unknown whether it was done; doing it again is safe.
        """
        reply: bytes | None = self._release(
            keys=[keys.bucket(name)],
            args=[name, self._by, clock_argument(now_us)],
        )
        if reply is None:
            raise UnknownBucketError(name)
        return reply.decode()

    def purge(self, name: str, *, keep_seconds: int) -> int:
        """Cancel all jobs that wait in the bucket, those that wait for a time too.

        Args:
            name: The bucket.
            keep_seconds: How long the cancelled jobs can still be read, >= 1.

        Returns:
            How many there were.

        Raises:
            redis.RedisError: Some may have been cancelled; doing it again cancels the rest.
        """
        if not self._redis.exists(keys.bucket(name)):
            raise UnknownBucketError(name)
        count, more = 0, True
        while more:
            cancelled, more = self._purge(
                args=[name, keep_seconds, self._by, PURGED_AT_ONCE, count, ""]
            )
            count += int(cancelled)
        return count
