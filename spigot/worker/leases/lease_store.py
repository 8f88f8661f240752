"""Ends attempts and renews their leases; each call is one script, decided on the server's clock."""

import base64
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from redis import Redis
from redis.exceptions import RedisError, ResponseError

from spigot.jobs.bucket.leaky_bucket import ALIVE_SECONDS
from spigot.jobs.job.failure_place import place_of
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import Call, call_together, load_script
from spigot.jobs.store.replica_wait import NotReplicatedError, ReplicaWait
from spigot.jobs.store.times import clock_argument
from spigot.runtime.count_text import count_text
from spigot.runtime.server.redis_connection import is_away

from .attempt_report import NO_HOLD, AttemptReport, Hold, rq_trace
from .end_calls import AttemptEnd, runs_of
from .known_claim import known_of
from .lease_answers import Ended, Reaped, Renewed
from .lease_terms import LeaseTerms

log = logging.getLogger(__name__)


class LeaseStore:
    """The leases of one bucket, and the attempts that run under them.

    Args:
        redis: Connection to the server of the queue side.
        bucket: Name of the bucket.
        worker: Name of the worker that calls.
        terms: Of its leases.
        wait: For the replicas that are to have the end of an attempt before ``complete`` and
            ``give_back`` return; None: for none. It delays, and fails nothing.
    """

    def __init__(
        self,
        redis: Redis,
        bucket: str,
        worker: str,
        terms: LeaseTerms,
        wait: ReplicaWait | None = None,
    ) -> None:
        self.redis = redis
        self._bucket = bucket
        self._worker = worker
        self.terms = terms
        self._wait = wait
        self._complete = load_script(redis, __package__, "complete.lua")
        self._give_back = load_script(redis, __package__, "give_back.lua")
        self._renew = load_script(redis, __package__, "renew.lua")
        self._reap = load_script(redis, __package__, "reap.lua")

    def complete(
        self, report: AttemptReport, status: str, *, result: str = "", now_us: int | None = None
    ) -> Ended | None:
        """End the attempt and its job.

        Args:
            report: What there is to tell.
            status: ``finished``, ``failed``, ``cancelled`` or ``refused``, which is a failure
                that its downstream wants.
            result: JSON of what the function returned, if finished.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            None if the attempt was given to somebody else: then nothing was changed.

        Raises:
            redis.RedisError: It is unknown whether it was ended; calling again is safe.
        """
        returned = "" if result in ("", "null") else base64.b64encode(result.encode()).decode()
        known = None
        if report.claim is not None and status == "finished" and not report.told:
            known = known_of(report.claim, self._bucket, self._worker, report.type_name)
        shared = (
            self._bucket,
            self._worker,
            self.terms.keep_seconds,
            clock_argument(now_us),
            status,
            report.type_name,
            known.queue if known else "",
        )
        rest = known.args if known else _of_unknown_claim(report)
        args = [result, returned, report.progress, report.late, *rest]
        entry = known.entry if known else ""
        return self._end(AttemptEnd(self._complete, report, args, shared, entry))

    def give_back(
        self,
        report: AttemptReport,
        status: str,
        *,
        hold: Hold = NO_HOLD,
        delay_us: int | None = None,
        counts_as_reap: bool = False,
        suspicion: int | None = None,
        now_us: int | None = None,
    ) -> Ended | None:
        """End the attempt; its job will run again.

        Args:
            report: What there is to tell.
            status: ``rate_limited``, ``retrying``, ``reaped``, or "" if it never started.
            hold: Of the whole bucket, if rate_limited.
            delay_us: How long the job waits; None puts it at the head of its queue.
            counts_as_reap: Whether it brings the job nearer to being abandoned.
            suspicion: Of having ended its pool: at 1 the job runs again among few others, at 2
                alone; None leaves it as it is.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            As ``complete``.

        Raises:
            redis.RedisError: As ``complete``.
        """
        args = [
            report.token,
            status,
            report.type_name,
            report.error,
            hold.us,
            "" if delay_us is None else delay_us,
            report.rq_trace,
            self.terms.max_reaps if counts_as_reap else 0,
            self._bucket,
            self.terms.keep_seconds,
            report.progress,
            clock_argument(now_us),
            report.late,
            hold.kind,
            int(hold.stated),
            self.terms.max_refusals,
            "" if suspicion is None else suspicion,
            report.told,
        ]
        return self._end(AttemptEnd(self._give_back, report, args))

    def _end(self, end: AttemptEnd) -> Ended | None:
        (ended,) = self._write([end])
        return ended

    def _write(self, ends: Sequence[AttemptEnd]) -> list[Ended | None]:
        """End attempts in one round trip, and wait for the replicas.

        If the server refuses several for good, each is ended alone: what is the matter with one
        does not stop the others.
        """
        try:
            return self._write_together(ends)
        except ResponseError as error:
            if len(ends) == 1 or is_away(error):
                raise
        return self._write_each(ends)

    def _write_each(self, ends: Iterable[AttemptEnd]) -> list[Ended | None]:
        ended: list[Ended | None] = []
        refusals: list[ResponseError] = []
        for end in ends:
            try:
                ended += self._write_together([end])
            except ResponseError as error:
                refusals.append(error)
        if refusals:
            raise refusals[0]
        return ended

    def _write_together(self, ends: Sequence[AttemptEnd]) -> list[Ended | None]:
        runs = runs_of(ends)
        replies, late = self._call([run.call() for run in runs])
        answers: dict[int, Ended | None] = {}
        for run, reply in zip(runs, replies, strict=True):
            answers |= run.answers(reply)
        ended = [answers[place] for place in range(len(ends))]
        ours = [end.report for end, answer in zip(ends, ended, strict=True) if answer is not None]
        if late is not None and ours:
            self._tell_not_replicated(ours, late)
        return ended

    def _call(self, calls: Sequence[Call]) -> tuple[list[Any], NotReplicatedError | None]:
        if self._wait is None:
            return call_together(self.redis, calls), None
        return self._wait.call_together(self.redis, calls)

    def _tell_not_replicated(
        self, reports: Sequence[AttemptReport], late: NotReplicatedError
    ) -> None:
        """Log and count ends that a failover may undo now; they stand all the same."""
        log.warning(
            "the end of %s may be lost by a failover, after which they run again: %s",
            count_text(len(reports), "attempt"),
            late,
        )
        with suppress(RedisError):  # the ends are written: a count must not have them written again
            for type, times in Counter(report.counted_as for report in reports).items():
                self.redis.hincrby(keys.stats(self._bucket), f"not_replicated:{type}", times)

    def renew(self, tokens: Iterable[str], rq_ttl: int, *, now_us: int | None = None) -> Renewed:
        """Renew the leases of running attempts.

        Args:
            tokens: Of this worker's attempts.
            rq_ttl: Seconds until RQ forgets the worker.
            now_us: Unix microseconds; None takes the clock of Redis.

        Raises:
            redis.RedisError: Nothing is known.
        """
        reply = self._renew(
            args=[
                self._bucket,
                self._worker,
                self.terms.lease_ms,
                self.terms.outage_threshold_ms,
                round(ALIVE_SECONDS * 1000),
                rq_ttl,
                clock_argument(now_us),
                *tokens,
            ]
        )
        return Renewed.from_reply(reply)

    def reap(self, *, fresh_ms: int = 0, now_us: int | None = None) -> Reaped:
        """Give the jobs of silent workers back, and find what dead ones left undone.

        Args:
            fresh_ms: Find nothing if somebody looked less than that ago.
            now_us: Unix microseconds; None takes the clock of Redis.

        Raises:
            redis.RedisError: Lines that were adopted are adopted again later.
        """
        died = "died or fell silent while"
        times = count_text(self.terms.max_reaps, f"worker {died} it", f"workers {died} they")
        reason = f"Abandoned: {times} ran it"
        reply = self._reap(
            args=[
                self._bucket,
                self._worker,
                self.terms.lease_ms,
                self.terms.outage_threshold_ms,
                self.terms.max_reaps,
                reason,
                rq_trace(reason),
                self.terms.keep_seconds,
                fresh_ms,
                clock_argument(now_us),
            ]
        )
        return Reaped.from_reply(reply, self._forget_line, self.dependents_released)

    def _forget_line(self, token: bytes) -> None:
        self.redis.hdel(keys.unlogged(self._bucket), token)

    def note_alone(self, token: str) -> None:
        """Note that an attempt of a pool runs alone, so that its death counts as a reap.

        Raises:
            redis.RedisError: It is unknown whether it was noted.
        """
        self.redis.hdel(keys.lease(token), "pool")

    def count(self) -> int:
        """Return how many attempts of the bucket run, or are about to."""
        return int(self.redis.zcard(keys.leases(self._bucket)))

    def dependents_released(self, job_id: str | bytes) -> None:
        """Note that the jobs that waited for ``job_id`` were enqueued."""
        self.redis.srem(keys.dependents(self._bucket), job_id)


def _of_unknown_claim(report: AttemptReport) -> Sequence[str]:
    """Return what ``complete.lua`` takes of an attempt of whose claim it is not told."""
    return [report.error, report.rq_trace, place_of(report.trace) or "", report.told, "", ""]
