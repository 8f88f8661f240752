"""What is in a bucket, and how fast it leaks, as clients and operators see it."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Literal

from redis import Redis

from spigot.jobs.budgets.state import BudgetState, budget_states
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import Call, call_together, load_script
from spigot.jobs.store.stored_values import bucket_names, interval_us, stored_int, stored_text
from spigot.jobs.store.times import Moment, clock_argument, utc_text

from .config import BucketConfig
from .configuring import NewerBucketError, Source, UnknownBucketError
from .control import OperatorSettings
from .publishing import BucketPublisher

HoldKind = Literal["wait", "quota"]


@dataclass(frozen=True, slots=True)
class BucketState:
    """One bucket at one moment; the fields are those of the HTTP interface.

    Attributes:
        rate: As it was written.
        interval: Seconds between two leaks.
        capacity: Jobs that may wait.
        waiting: Jobs that wait in its queues.
        delayed: Jobs that wait for a time, such as that of a retry.
        running: Attempts that were started and have not ended.
        workers: Worker processes that are alive.
        concurrency: Jobs that these run at once.
        held_until: RFC 3339; None if the downstream takes requests.
        hold_reason: What the downstream said, in the words of the job that was refused.
        hold_kind: ``wait``, or ``quota`` if what the downstream grants for a day, or for money, is
            spent; None if it takes requests.
        probing: Whether one job at a time asks the downstream whether it serves again, once
            ``held_until`` is over.
        next_leak_at: When the next job may start, RFC 3339; None while paused, or if it waits for
            a budget that others hold until they end.
        budgets: What is spent and held of each budget, by name.
        waits_for: The budget that the next job waits for; None if it waits for none.
        sources: Who set ``rate``, ``capacity``, ``max_running``, ``paused``, ``draining`` and,
            if it has any, ``budgets``: ``operator``, ``file``, or ``default`` where both are
            silent.
    """

    name: str
    rate: str
    interval: float
    burst: int
    capacity: int
    waiting: int
    delayed: int
    running: int
    max_running: int | None
    workers: int
    concurrency: int
    paused: bool
    draining: bool
    held_until: Moment | None
    hold_reason: str | None
    hold_kind: HoldKind | None
    probing: bool
    next_leak_at: Moment | None
    budgets: dict[str, BudgetState]
    waits_for: str | None
    sources: dict[str, Source]

    @property
    def lacks_worker(self) -> bool:
        """Whether there are jobs for a worker, or jobs that lost theirs, and none is alive."""
        return not self.workers and bool(self.waiting or self.delayed or self.running)

    def to_json(self) -> dict[str, Any]:
        """Return the bucket as the HTTP interface shows it."""
        return asdict(self)


class BucketReader:
    """Reads buckets, one round trip each, whatever the length of their queues.

    Args:
        redis: Connection to the server of the queue side.
        configs: Numbers of buckets, published when the server has none.
    """

    def __init__(self, redis: Redis, configs: Mapping[str, BucketConfig] | None = None) -> None:
        self._redis = redis
        self._configs = configs or {}
        self._publisher = BucketPublisher(redis)
        self._read = load_script(redis, __package__, "read_bucket.lua")

    def read_all(self) -> list[BucketState]:
        """Return all buckets by name.

        Raises:
            redis.RedisError: The server did not answer.
        """
        published = set(bucket_names(self._redis))
        states = (self.read(name) for name in sorted(published | set(self._configs)))
        return [state for state in states if state]

    def read(self, name: str, now_us: int | None = None) -> BucketState | None:
        """Return the bucket, or None if there is none of that name.

        Raises:
            redis.RedisError: The server did not answer.
        """
        if not keys.BUCKET.fullmatch(name):
            return None
        reply = self._ask(name, now_us)
        if not reply and name in self._configs:
            with suppress(NewerBucketError):  # another bucket
                self._publisher.publish(self._configs)
            reply = self._ask(name, now_us)
        return parse_bucket(name, reply) if reply else None

    def get(self, name: str) -> BucketState:
        """Return the bucket.

        Raises:
            UnknownBucketError: There is none of that name.
            redis.RedisError: The server did not answer.
        """
        found = self.read(name)
        if found is None:
            raise UnknownBucketError(name)
        return found

    def call(self, name: str, now_us: int | None = None) -> Call:
        """Return the call whose reply ``parse_bucket`` reads."""
        return self._read, (), (name, clock_argument(now_us))

    def _ask(self, name: str, now_us: int | None) -> Any:
        (reply,) = call_together(self._redis, [self.call(name, now_us)])
        return reply


def parse_bucket(name: str, reply: list[Any]) -> BucketState:
    """Read what ``read_bucket.lua`` returned of a bucket that has numbers."""
    now_us, slot_us, waiting, delayed, running, workers, concurrency, flat, narrow, spent = reply
    fields = dict(zip(flat[::2], flat[1::2], strict=True))
    held_us = _number(fields, b"held_until_us")
    is_held, probing = held_us > now_us, bool(_number(fields, b"probing"))
    reason = stored_text(fields.get(b"hold_reason", b"")) if is_held or probing else ""
    paused = bool(_number(fields, b"paused"))
    return BucketState(
        name=name,
        rate=stored_text(fields.get(b"rate", b"?")),
        interval=interval_us(fields.get(b"interval_us")) / 1_000_000,
        burst=_number(fields, b"burst"),
        capacity=_number(fields, b"capacity"),
        waiting=waiting,
        delayed=delayed,
        running=running,
        max_running=_number(fields, b"max_running") or None,
        workers=workers,
        concurrency=concurrency,
        paused=paused,
        draining=bool(_number(fields, b"draining")),
        held_until=utc_text(held_us) if is_held else None,
        hold_reason=reason or None,
        hold_kind=_kind_of(fields) if is_held or probing else None,
        probing=probing,
        next_leak_at=None if paused or not slot_us else utc_text(slot_us),
        budgets=budget_states(
            stored_text(fields.get(b"budgets", b"")),
            _numbers_by_name(spent),
            now_us,
            _number(fields, b"mean_run_us"),
        ),
        waits_for=stored_text(narrow) or None,
        sources={
            name: _source_of(name, fields)
            for name in OperatorSettings.model_fields
            if name != "budgets" or fields.get(b"budgets")
        },
    )


def _numbers_by_name(flat: list[bytes]) -> dict[str, int]:
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return {stored_text(name): stored_int(value) for name, value in pairs}


def _kind_of(fields: Mapping[bytes, bytes]) -> HoldKind:
    return "quota" if fields.get(b"hold_kind") == b"quota" else "wait"


def _source_of(name: str, fields: Mapping[bytes, bytes]) -> Source:
    speakers: tuple[Source, ...] = ("operator", "file")
    said = (source for source in speakers if f"{source}_{name}".encode() in fields)
    return next(said, "default")


def _number(fields: Mapping[bytes, bytes], name: bytes) -> int:
    """Return 0 for a field that is not set, was taken back, or is no number."""
    return stored_int(fields.get(name))
