"""Puts the numbers of ``buckets.json`` where all scripts and hosts read them: into Redis."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from redis import Redis

from spigot.jobs.budgets.budget import Budget, to_text
from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_text

from .config import BucketConfig
from .configuring import BucketConfigurer, Fields, NewerBucketError, rate_fields

COMPARED = ("rate", "capacity", "max_running")


@dataclass(frozen=True, slots=True)
class Difference:
    """A number of a bucket that the server has otherwise from another file.

    Attributes:
        bucket: Its name.
        field: Which number.
        here: What the file of this machine says.
        there: What the file said that was published last; "" if it was silent.
    """

    bucket: str
    field: str
    here: str
    there: str


class BucketPublisher:
    """Writes what the file says of buckets; what an operator set goes before that.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._configurer = BucketConfigurer(redis)

    def publish(self, configs: Mapping[str, BucketConfig], *, by: str = "") -> None:
        """Write the numbers of each bucket, one round trip a bucket.

        Args:
            configs: The buckets by name.
            by: Which file, for the log and the buckets' lists of changes; "" is not kept.

        Raises:
            NewerBucketError: A newer version wrote one of them; the others were written.
            redis.RedisError: Not all were written; publish again.
        """
        newer: NewerBucketError | None = None
        for name, config in configs.items():
            stated = {field for field, value in config if field in config.model_fields_set}
            told, filled_in = _fields(config, stated), _fields(config, set(dict(config)) - stated)
            try:
                self._configurer.set(name, {"file": told, "default": filled_in}, by=by)
            except NewerBucketError as error:
                newer = error
        if newer:
            raise newer


def differences(redis: Redis, configs: Mapping[str, BucketConfig]) -> Iterator[Difference]:
    """Yield what these configurations state and the server has otherwise.

    Args:
        redis: Connection to the server of the queue side, with replies as bytes.
        configs: Of the file of this machine; a bucket that was not published is left out.

    Raises:
        redis.RedisError: The server did not answer, or a bucket's key holds something else.
    """
    for name, config in configs.items():
        told = _fields(config, config.model_fields_set)
        fields = [field for field in COMPARED if told[field] != ""]
        published, *stored = redis.hmget(
            keys.bucket(name), ["rate", *(f"file_{field}" for field in fields)]
        )
        for field, text in zip(fields, stored, strict=True):
            here, there = str(told[field]), stored_text(text or b"")
            if published is not None and here != there:
                yield Difference(name, field, here, there)


def _fields(config: BucketConfig, names: set[str]) -> Fields:
    """Return the fields of a source that speaks of ``names`` and is silent of the rest."""
    fields = rate_fields(config.rate if "rate" in names else None)
    for name in ("capacity", "max_running", "workers", "concurrency"):
        fields[name] = (getattr(config, name) or "") if name in names else ""
    budgets = config.budgets if "budgets" in names else {}
    fields["budgets"] = to_text({name: Budget.of(name, it) for name, it in budgets.items()})
    return fields
