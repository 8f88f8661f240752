"""Ends attempts and keeps their leases; each call is one script, decided on the server's clock."""

import base64
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from spigot.jobs.bucket.leaky_bucket import ALIVE_SECONDS
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import stored_text

REFUSALS = "spigot/jobs/store/lua/refusals.lua"

RETURN_MS = 1000
"""How long workers take to renew their leases after the server's return."""

LEAST_SILENT_MS = 3000
"""Where the only worker of a bucket is idle, it is heard every two seconds."""

HEARD_SECONDS = 2.5
"""Between two signs of those that watch a bucket or keep leases, at most."""

SHORTEST_SLEEP = 2.0


@dataclass(frozen=True, slots=True)
class Ended:
    """An attempt that was ended.

    Attributes:
        line: For the result log; empty if there is none.
        has_dependents: Whether jobs wait for the end of this one.
    """

    line: bytes
    has_dependents: bool


@dataclass(frozen=True, slots=True)
class Renewed:
    """What a worker learned when it renewed its leases.

    Attributes:
        lost: LeaseStore whose lease is gone: they were given to somebody else and must stop.
        cancelled: LeaseStore whose job was cancelled: they must stop, and be ended.
    """

    lost: set[str]
    cancelled: set[str]


@dataclass(frozen=True, slots=True)
class Reaped:
    """What a worker found to do for others.

    Attributes:
        lines: By token, for the result log.
        parents: Ids of ended jobs whose dependents nobody released yet.
        count: Jobs that were taken from silent workers.
        faults: What could not be read or done, and why.
        more: Whether there is more to do, so that it is worth to look again at once.
    """

    lines: dict[str, bytes]
    parents: list[str]
    count: int
    faults: list[str] = field(default_factory=list)
    more: bool = False


class LeaseStore:
    """The attempts of one bucket.

    Args:
        redis: Connection to the server of the queue side.
        bucket: Name of the bucket.
        worker: Name of the worker that calls.
        lease_ms: How long a lease stands without renewal, >= 1.
        max_reaps: A job reaped that often is abandoned, >= 1.
        keep_seconds: How long a cancelled job is kept, >= 1.
        max_refusals: A job that its downstream refused that often, while others of its bucket
            passed, fails, >= 1.
    """

    def __init__(
        self,
        redis: Redis,
        bucket: str,
        worker: str,
        *,
        lease_ms: int,
        max_reaps: int,
        keep_seconds: int,
        max_refusals: int = 20,
    ) -> None:
        self.redis = redis
        self._bucket = bucket
        self._worker = worker
        self._lease_ms = lease_ms
        self._max_reaps = max_reaps
        self._keep_seconds = keep_seconds
        self._max_refusals = max_refusals
        self._complete = load_script(redis, __package__, "complete.lua")
        self._give_back = load_script(redis, __package__, "give_back.lua")
        self._renew = load_script(redis, __package__, "renew.lua")
        self._reap = load_script(redis, __package__, "reap.lua")

    @property
    def tick_seconds(self) -> float:
        """How often leases are to be renewed and silent workers looked for."""
        return min(2.0, self._lease_ms / 5000)

    @property
    def sleep_seconds(self) -> float:
        """How long a worker may sleep on the bell that neither watches nor keeps leases.

        All others may die at one moment, and with them whoever would reap and ring: one that
        sleeps must come before that counts as a silence, in which leases are extended.
        """
        return max(SHORTEST_SLEEP, self._silence_ms / 1000 - HEARD_SECONDS)

    @property
    def _silence_ms(self) -> int:
        """How long nobody may have been heard before leases are extended instead of reaped.

        A shorter silence leaves every holder the time to come back and renew.
        """
        longest_ms = self._lease_ms - round(self.tick_seconds * 1000) - RETURN_MS
        return max(LEAST_SILENT_MS, longest_ms)

    def complete(
        self,
        token: str,
        status: str,
        type_name: str,
        *,
        result: str = "",
        error: str = "",
        trace: str = "",
        progress: str = "",
        late_us: int | None = None,
        now_us: int | None = None,
    ) -> Ended | None:
        """End the attempt and its job.

        Args:
            token: Of the attempt.
            status: ``finished``, ``failed``, ``cancelled`` or ``refused``, which is a failure
                that its downstream wants.
            type_name: For the result log.
            result: JSON of what the function returned, if finished.
            error: One line, unless finished.
            trace: The traceback, unless finished.
            progress: JSON of what the function reported last; "" for none.
            late_us: How long after its slot the function was called, if that is known.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            None if the attempt was given to somebody else: then nothing was changed.

        Raises:
            redis.RedisError: It is unknown whether it was ended; calling again is safe.
        """
        returned = "" if result in ("", "null") else base64.b64encode(result.encode()).decode()
        reply = self._complete(
            keys=[keys.lease(token)],
            args=[
                token,
                status,
                type_name,
                result,
                returned,
                error,
                rq_trace(trace),
                self._keep_seconds,
                self._bucket,
                progress,
                _clock(now_us),
                "" if late_us is None else late_us,
            ],
        )
        return _ended(reply)

    def give_back(
        self,
        token: str,
        status: str,
        type_name: str,
        *,
        error: str = "",
        trace: str = "",
        hold_us: int = 0,
        kind: str = "wait",
        stated: bool = True,
        delay_us: int | None = None,
        counts_as_reap: bool = False,
        progress: str = "",
        late_us: int | None = None,
        now_us: int | None = None,
    ) -> Ended | None:
        """End the attempt; its job will run again.

        Args:
            token: Of the attempt.
            status: ``rate_limited``, ``retrying``, ``reaped``, or "" if it never started.
            type_name: For the result log.
            error: One line: why.
            trace: The traceback, if there is one.
            hold_us: How long the whole bucket waits from now on, if rate_limited.
            kind: Of the refusal, if rate_limited: ``wait`` or ``quota``.
            stated: Whether the downstream said how long; if not, holds grow.
            delay_us: How long the job waits; None puts it at the head of its queue.
            counts_as_reap: Whether it brings the job nearer to being abandoned.
            progress: JSON of what the function reported last; "" for none.
            late_us: How long after its slot the function was called, if that is known.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            None if the attempt was given to somebody else: then nothing was changed.

        Raises:
            redis.RedisError: It is unknown whether it was ended; calling again is safe.
        """
        reply = self._give_back(
            keys=[keys.lease(token)],
            args=[
                token,
                status,
                type_name,
                error,
                hold_us,
                "" if delay_us is None else delay_us,
                rq_trace(trace),
                self._max_reaps if counts_as_reap else 0,
                self._bucket,
                self._keep_seconds,
                progress,
                _clock(now_us),
                "" if late_us is None else late_us,
                kind,
                int(stated),
                self._max_refusals,
            ],
        )
        return _ended(reply)

    def renew(self, tokens: Iterable[str], rq_ttl: int, *, now_us: int | None = None) -> Renewed:
        """Renew the leases of running attempts.

        Args:
            tokens: Of this worker's attempts.
            rq_ttl: Seconds until RQ forgets the worker.
            now_us: Unix microseconds; None takes the clock of Redis.

        Raises:
            redis.RedisError: Nothing is known.
        """
        lost, cancelled = self._renew(
            args=[
                self._bucket,
                self._worker,
                self._lease_ms,
                self._silence_ms,
                round(ALIVE_SECONDS * 1000),
                rq_ttl,
                _clock(now_us),
                *tokens,
            ]
        )
        return Renewed({token.decode() for token in lost}, {token.decode() for token in cancelled})

    def reap(self, *, fresh_ms: int = 0, now_us: int | None = None) -> Reaped:
        """Give the jobs of silent workers back, and find what dead ones left undone.

        Args:
            fresh_ms: Find nothing if somebody looked less than that ago.
            now_us: Unix microseconds; None takes the clock of Redis.

        Raises:
            redis.RedisError: Lines that were adopted are adopted again later.
        """
        reason = f"Abandoned: {self._max_reaps} workers died or fell silent while they ran it"
        lines, parents, count, faults, more = self._reap(
            args=[
                self._bucket,
                self._worker,
                self._lease_ms,
                self._silence_ms,
                self._max_reaps,
                reason,
                rq_trace(reason),
                self._keep_seconds,
                fresh_ms,
                _clock(now_us),
            ]
        )
        told = [stored_text(fault) for fault in faults]
        return Reaped(
            {
                token: line
                for raw, line in zip(lines[::2], lines[1::2], strict=True)
                if (token := self._readable(raw, told, self._forget_line))
            },
            [
                job_id
                for raw in parents
                if (job_id := self._readable(raw, told, self.dependents_released))
            ],
            count,
            told,
            bool(more),
        )

    @staticmethod
    def _readable(raw: bytes, told: list[str], drop: Callable[[bytes], None]) -> str | None:
        """Return the text of what is ours; drop what cannot be, or it would be found for ever."""
        try:
            return raw.decode()
        except UnicodeDecodeError:
            drop(raw)
            told.append(f"{raw!r} is no name of ours and was dropped")
            return None

    def _forget_line(self, token: bytes) -> None:
        self.redis.hdel(keys.unlogged(self._bucket), token)

    def dependents_released(self, job_id: str | bytes) -> None:
        """Note that the jobs that waited for ``job_id`` were enqueued."""
        self.redis.srem(keys.dependents(self._bucket), job_id)


def rq_trace(text: str) -> str:
    """Return a traceback as RQ keeps it in its results; "" for none."""
    return base64.b64encode(zlib.compress(text.encode("utf-8", "replace"))).decode() if text else ""


def _clock(now_us: int | None) -> int | str:
    return "" if now_us is None else now_us


def _ended(reply: list[Any]) -> Ended | None:
    return Ended(reply[0], bool(reply[1])) if reply else None
