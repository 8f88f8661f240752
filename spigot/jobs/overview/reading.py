"""Reads all buckets for the pages: state, history, failures and changes, in one round trip."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.configuring import parse_change_record
from spigot.jobs.bucket.state import BucketReader, BucketState, parse_bucket
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import Call, call_together, load_script
from spigot.jobs.store.stored_values import bucket_names
from spigot.jobs.store.times import clock_argument

from .history import Cell, Stop, read_history
from .run_times import RunTimes

RECENT_SECONDS = 300
"""Ends that are not older say whether a bucket is failing."""


@dataclass(frozen=True, slots=True)
class BucketView:
    """A bucket as the pages show it.

    Attributes:
        state: As clients see it.
        now_us: Unix microseconds at which it was read, on the server's clock.
        runs: How long its jobs run.
        last_start_us: Slot of the last start; 0 if there was none.
        failed: Failed jobs that are kept.
        failed_recently: Jobs that failed in the last ``RECENT_SECONDS``.
        finished_recently: Jobs that finished in that time.
        history: The last 30 minutes.
        refused: Jobs that it turned away in the last hour, because it was full or draining.
        changes: Who changed what, newest first: ``at``, ``by`` and ``changes``.
    """

    state: BucketState
    now_us: int
    runs: RunTimes
    last_start_us: int
    failed: int
    failed_recently: int
    finished_recently: int
    history: list[Cell]
    refused: int
    changes: list[dict[str, Any]]


class OverviewReader:
    """Reads buckets, all of them in one round trip, and one for their names.

    Args:
        redis: Connection to the server of the queue side.
        keep_seconds: How long ended jobs are kept.
        configs: Numbers of buckets, published when the server has none.
    """

    def __init__(
        self,
        redis: Redis,
        keep_seconds: int,
        configs: Mapping[str, BucketConfig] | None = None,
    ) -> None:
        self._redis = redis
        self._keep_seconds = keep_seconds
        self._buckets = BucketReader(redis, configs)
        self._configs = configs or {}
        self._read = load_script(redis, __package__, "read_overview.lua")

    def read_all(self) -> list[BucketView]:
        """Return all buckets by name.

        Raises:
            redis.RedisError: The server did not answer.
        """
        published = bucket_names(self._redis)
        for name in set(self._configs) - set(published):
            self._buckets.read(name)  # publishes it
        return self.read(sorted({*published, *self._configs}))

    def count_failed(self) -> int:
        """Return how many failed jobs are kept, of all buckets.

        Raises:
            redis.RedisError: The server did not answer.
        """
        names = bucket_names(self._redis)
        with self._redis.pipeline(transaction=False) as pipeline:
            for name in names:
                for queue in keys.queue_names(name):
                    pipeline.zcard(keys.failed(queue))
            found = pipeline.execute(raise_on_error=False)
        return sum(count for count in found if isinstance(count, int))

    def read(self, names: Iterable[str], now_us: int | None = None) -> list[BucketView]:
        """Return these buckets; those that do not exist are left out.

        Args:
            names: Of buckets; others are left out.
            now_us: Unix microseconds; None takes the clock of Redis.

        Raises:
            redis.RedisError: The server did not answer.
        """
        known = [name for name in names if keys.BUCKET.fullmatch(name)]
        clock = clock_argument(now_us)
        calls: list[Call] = []
        for name in known:
            more = (name, self._keep_seconds, RECENT_SECONDS, clock)
            calls += [self._buckets.call(name, now_us), (self._read, (), more)]
        replies = call_together(self._redis, calls)
        asked = zip(known, replies[::2], replies[1::2], strict=True)
        return [_view(name, state, rest) for name, state, rest in asked if state]


def stop_of(state: BucketState) -> Stop | None:
    """Return why nothing starts although jobs wait, as far as the bucket itself knows."""
    if state.paused:
        return "paused"
    if state.held_until:
        return "held"
    return "no worker" if state.waiting and not state.workers else None


def _view(name: str, reply: list[Any], more: list[Any]) -> BucketView:
    state = parse_bucket(name, reply)
    now_us, runs, last_us, failed, failed_recently, finished, stored, changes, refused = more
    history = read_history(
        stored,
        now_us,
        waiting=state.waiting,
        interval_us=round(state.interval * 1_000_000),
        stop=stop_of(state),
    )
    records = [record for text in changes if (record := parse_change_record(text))]
    return BucketView(
        state=state,
        now_us=now_us,
        runs=_runs(*runs),
        last_start_us=last_us,
        failed=failed,
        failed_recently=failed_recently,
        finished_recently=finished,
        history=history,
        refused=refused,
        changes=records,
    )


def _runs(past: int, expected: int, longest: int, longer: list[int], each: int) -> RunTimes:
    def seconds(us: int) -> float:
        return us / 1_000_000

    return RunTimes(
        past=seconds(past),
        expected=seconds(expected),
        longest=seconds(longest),
        longer=tuple(map(seconds, longer)),
        each=each / 1_000_000,
    )
