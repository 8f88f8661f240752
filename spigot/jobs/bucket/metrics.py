"""What the metrics show of a bucket: read from Redis, so the same on every web process."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from redis import Redis

from spigot.jobs.budgets.state import BudgetState, budget_states
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import bucket_names, interval_us, stored_int, stored_text
from spigot.jobs.store.times import clock_argument

SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Histogram:
    """Observations since the bucket was first used.

    Attributes:
        bounds: Upper bounds in seconds, rising; the last is infinite.
        counts: Observations up to each bound.
        sum: Of all observations, in seconds.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    sum: float


@dataclass(frozen=True, slots=True)
class BucketMetrics:
    """A bucket at one moment, and what it did so far.

    Attributes:
        oldest_waiting: Seconds that the job that waits longest waits; 0 if none does.
        since_last_start: Seconds since the last slot that was given out; None if none was.
        rate_configured: Jobs per second that the file or an operator allows.
        rate_effective: The same, or 0 while the bucket is paused or held, asks its downstream with
            one job at a time, or its next job waits for a budget.
        held_for: Seconds that the bucket still waits because its downstream said so.
        quota_spent: Whether that is because a quota is spent; also while jobs ask, one at a time,
            whether it still is.
        unlogged: Ended attempts whose line is not yet in a result log.
        counts: How often, by event and job type.
        histograms: By name and job type, which is "" where types are not told apart.
        budgets: What is spent and held of each, by name.
        waits_for: The budget that the next job waits for; "" if it waits for none.
    """

    name: str
    capacity: int
    waiting: int
    oldest_waiting: float
    since_last_start: float | None
    delayed: int
    running: int
    max_running: int | None
    workers: int
    concurrency: int
    rate_configured: float
    rate_effective: float
    held_for: float
    quota_spent: bool
    paused: bool
    draining: bool
    unlogged: int
    counts: Mapping[tuple[str, str], int]
    histograms: Mapping[tuple[str, str], Histogram]
    budgets: Mapping[str, BudgetState]
    waits_for: str


class BucketMetricsReader:
    """Reads all buckets' metrics: one command, and one script per bucket.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._read = load_script(redis, __package__, "read_metrics.lua")

    def read_all(self) -> list[BucketMetrics]:
        """Return all buckets by name.

        Raises:
            redis.RedisError: The server did not answer.
        """
        found = (self.read(name) for name in bucket_names(self._redis))
        return [metrics for metrics in found if metrics]

    def read(self, name: str, now_us: int | None = None) -> BucketMetrics | None:
        """Return the bucket, or None if it has no numbers.

        Raises:
            redis.RedisError: The server did not answer.
        """
        reply = self._read(args=[name, clock_argument(now_us)])
        return _parse(name, reply) if reply else None


def _parse(name: str, reply: list[Any]) -> BucketMetrics:
    now_us, waiting, oldest_us, delayed, running, *rest = reply
    workers, concurrency, unlogged, suspended, *rest = rest
    fields, stats = _texts(rest[0]), _texts(rest[1])
    bounds = {stored_text(histogram): us for histogram, *us in rest[2]}
    held_us = max(0, stored_int(fields.get("held_until_us")) - now_us)
    last_slot_us = stored_int(fields.get("last_slot_us"))
    refuses = held_us > 0 or stored_int(fields.get("probing")) > 0
    paused = fields.get("paused") == "1" or bool(suspended)
    rate = SECOND_US / interval_us(fields.get("interval_us"))
    return BucketMetrics(
        name=name,
        capacity=stored_int(fields.get("capacity")),
        waiting=waiting,
        oldest_waiting=oldest_us / SECOND_US,
        # a slot is given out a little ahead of its time
        since_last_start=max(0, now_us - last_slot_us) / SECOND_US if last_slot_us else None,
        delayed=delayed,
        running=running,
        max_running=stored_int(fields.get("max_running")) or None,
        workers=workers,
        concurrency=concurrency,
        rate_configured=rate,
        rate_effective=0 if paused or refuses or rest[3] else rate,
        held_for=held_us / SECOND_US,
        quota_spent=refuses and fields.get("hold_kind") == "quota",
        paused=paused,
        draining=fields.get("draining") == "1",
        unlogged=unlogged,
        counts=_counts(stats, bounds),
        histograms=dict(_histograms(stats, bounds)),
        budgets=budget_states(
            fields.get("budgets", ""),
            {name: stored_int(value) for name, value in _texts(rest[4]).items()},
            now_us,
            stored_int(fields.get("mean_run_us")),
        ),
        waits_for=stored_text(rest[3]),
    )


def _texts(flat: Iterable[bytes]) -> dict[str, str]:
    texts = [stored_text(part) for part in flat]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _counts(
    stats: Mapping[str, str], bounds: Mapping[str, list[int]]
) -> dict[tuple[str, str], int]:
    parts = ((field.partition(":"), value) for field, value in stats.items())
    return {
        (name, type): stored_int(value)
        for (name, colon, type), value in parts
        if colon and name not in bounds
    }


def _histograms(
    stats: Mapping[str, str], bounds: Mapping[str, list[int]]
) -> Iterator[tuple[tuple[str, str], Histogram]]:
    for name, bounds_us in bounds.items():
        prefix, end = f"{name}:", ":sum_us"
        for field in stats:
            if field.startswith(prefix) and field.endswith(end):
                type = field[len(prefix) : -len(end)]
                yield (name, type), _histogram(stats, field[: -len("sum_us")], bounds_us)


def _histogram(stats: Mapping[str, str], prefix: str, bounds_us: list[int]) -> Histogram:
    numbers = (stored_int(stats.get(f"{prefix}{bound}")) for bound in (*bounds_us, "inf"))
    return Histogram(
        bounds=(*(us / SECOND_US for us in bounds_us), float("inf")),
        counts=tuple(accumulate(numbers)),
        sum=stored_int(stats[f"{prefix}sum_us"]) / SECOND_US,
    )
