"""Runs jobs where they are enqueued, by the scripts of a real worker, in no time."""

import secrets
from dataclasses import replace

from redis import Redis
from rq.timeouts import BaseDeathPenalty

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_text
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms
from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.prepared_call import prepare
from spigot.worker.running.settlement import settle

from .virtual_clock import VirtualClock

NAME = "inline"
MOST_ROUNDS = 100
"""How many attempts may follow each other: of one job, or of jobs that enqueue the next one."""


class EndlessJobError(AssertionError):
    """Jobs run again and again: they are refused for ever, or each enqueues the next."""


class _NoTimeout(BaseDeathPenalty):
    """A function that runs where it is called ends when it ends."""

    def setup_death_penalty(self) -> None:
        """Do nothing."""

    def cancel_death_penalty(self) -> None:
        """Do nothing."""


class InlineWorker:
    """The only worker of all buckets.

    Args:
        redis: The server in memory.
        clock: Is set forward where a worker would wait.
        catalog: The job types.
        terms: What its leases are subject to.
    """

    def __init__(
        self, redis: Redis, clock: VirtualClock, catalog: JobCatalog, terms: LeaseTerms
    ) -> None:
        self._redis = redis
        self._clock = clock
        self._catalog = catalog
        self._terms = terms
        self._busy = False
        self._rounds = self._left_of_round = 0

    def run_all(self) -> None:
        """Run jobs until none waits, or those that do wait for an operator or another job.

        A job that is enqueued by a running one runs after it.

        Raises:
            EndlessJobError: A job runs again and again.
        """
        if self._busy:
            return
        self._busy = True
        self._rounds, self._left_of_round = 0, self._count_waiting()
        try:
            while any([self._run_bucket(name) for name in self._bucket_names()]):
                pass
        finally:
            self._busy = False

    def _count_waiting(self) -> int:
        names = self._bucket_names()
        queues = [queue for name in names for queue in keys.queue_names(name)]
        waiting = sum(self._redis.llen(keys.queue(queue)) for queue in queues)
        return waiting + sum(self._redis.zcard(keys.delayed(name)) for name in names)

    def _bucket_names(self) -> list[str]:
        return sorted(stored_text(name) for name in self._redis.smembers(keys.buckets()))

    def _run_bucket(self, name: str) -> bool:
        """Run what the bucket has; return whether that was anything."""
        bucket, has_run = LeakyBucket(self._redis, name), False
        while (claim := self._next(bucket)) is not None:
            self._count(claim, name)
            self._run(claim, name)
            has_run = True
        return has_run

    def _count(self, claim: Claim, bucket: str) -> None:
        """Count an attempt: in each round as many as jobs wait at its beginning.

        So a job may enqueue many others, but attempts do not follow each other without an end.
        """
        if not self._left_of_round:
            self._rounds += 1
            self._left_of_round = 1 + self._count_waiting()
        if self._rounds >= MOST_ROUNDS:
            raise EndlessJobError(f"job {claim.job_id} of bucket {bucket!r} goes on for ever")
        self._left_of_round -= 1

    def _next(self, bucket: LeakyBucket) -> Claim | None:
        """Claim the next job, letting the time pass until it may start."""
        while True:
            answer = bucket.claim(NAME, secrets.token_hex(8), lease_ms=self._terms.lease_ms)
            if isinstance(answer, Claim):
                self._clock.pass_by(answer.wait_us / 1_000_000)
                return answer
            if not self._wait(bucket.name, answer):
                return None

    def _wait(self, bucket: str, answer: Wait) -> bool:
        """Let the time pass that the bucket asks for; return whether that may help."""
        paused, held_us = self._redis.hmget(keys.bucket(bucket), "paused", "held_until_us")
        if paused == b"1":
            return False
        if answer.waiting:
            seconds = float(held_us or 0) / 1_000_000 - self._clock.time()
            self._clock.pass_by(max(seconds, answer.seconds))
            return True
        due = self._redis.zrange(keys.delayed(bucket), 0, 0, withscores=True)
        if due:
            self._clock.pass_by(float(due[0][1]) / 1000 - self._clock.time() + 0.001)
        return bool(due)

    def _run(self, claim: Claim, bucket: str) -> None:
        job = ClaimedJob.of(claim, self._redis)
        outcome = replace(prepare(job, self._catalog, _NoTimeout).run(), late_us=0)
        leases = LeaseStore(self._redis, bucket, NAME, self._terms)
        settle(job, outcome, leases, self._catalog)
