"""Puts the numbers of ``buckets.json`` where all scripts and hosts read them: into Redis."""

from collections.abc import Mapping

from redis import Redis

from spigot.jobs.budgets.budget import Budget, to_text

from .config import BucketConfig
from .configuring import BucketConfigurer, Fields, NewerBucketError, rate_fields


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


def _fields(config: BucketConfig, names: set[str]) -> Fields:
    """Return the fields of a source that speaks of ``names`` and is silent of the rest."""
    fields = rate_fields(config.rate if "rate" in names else None)
    for name in ("capacity", "max_running", "workers", "concurrency"):
        fields[name] = (getattr(config, name) or "") if name in names else ""
    budgets = config.budgets if "budgets" in names else {}
    fields["budgets"] = to_text({name: Budget.of(name, it) for name, it in budgets.items()})
    return fields
