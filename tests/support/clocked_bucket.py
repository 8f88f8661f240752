"""A bucket whose clock the test sets: what clients and one worker do with it, script by script."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from typing import Any

from redis import Redis

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.configuring import BucketConfigurer, Change
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.cancelling import Cancellation, JobCanceller
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.job.state import JobReader, JobState
from spigot.jobs.store import keys
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import MARK, job_type
from spigot.worker.leases.attempt_report import AttemptReport, Hold
from spigot.worker.leases.lease_answers import Ended, Reaped
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms

SECOND_US = 1_000_000
START_US = 1_800_000_000 * SECOND_US
KEEP_SECONDS = 600
WORKER = "worker-1"


def work(text: str = "") -> str:
    return text


def retried(text: str = "") -> str:
    return text


@cache
def _catalog() -> JobCatalog:
    types = [job_type("work")(work), job_type("retried", retries=2)(retried)]
    return JobCatalog(getattr(function, MARK) for function in types)


@dataclass
class ClockedBucket:
    """The bucket ``default``.

    Attributes:
        now_us: The time that every script is told.
    """

    redis: Redis
    rate: str = "10/s"
    capacity: int = 100
    now_us: int = START_US
    budgets: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = {"rate": self.rate, "capacity": self.capacity, "budgets": self.budgets}
        configs = {"default": BucketConfig.model_validate(numbers)}
        self.configs = configs
        BucketPublisher(self.redis).publish(configs)
        self.queue = JobQueue(self.redis, _catalog(), configs, keep_seconds=KEEP_SECONDS)
        self.bucket = LeakyBucket(self.redis, "default")
        self.leases = LeaseStore(
            self.redis,
            "default",
            WORKER,
            LeaseTerms(lease_ms=15_000, max_reaps=3, keep_seconds=KEEP_SECONDS),
        )
        self.configurer = BucketConfigurer(self.redis)
        self.reader = JobReader(self.redis)
        self.canceller = JobCanceller(self.redis, keep_seconds=KEEP_SECONDS)
        self._tokens = count(1)

    def sleep(self, seconds: float) -> None:
        self.now_us += round(seconds * SECOND_US)

    def enqueue(self, job_id: str, type: str = "work", **options: Any) -> JobState:
        state = self.queue.enqueue(
            type, {"text": job_id}, job_id=job_id, now_us=self.now_us, **options
        )
        assert isinstance(state, JobState), state
        return state

    def enqueue_all(self, job_ids: Iterable[str]) -> None:
        """Enqueue jobs in this order, hundreds of them by one call of the script."""
        jobs = [self.queue.accept("work", {"text": id}, job_id=id) for id in job_ids]
        for state in self.queue.enqueue_many(jobs, now_us=self.now_us):
            assert isinstance(state, JobState), state

    def ask(self, worker: str = WORKER, **options: Any) -> Claim | Wait:
        options = {"token": f"token-{next(self._tokens)}", "lease_ms": 15_000} | options
        return self.bucket.claim(worker, now_us=self.now_us, **options)

    def ask_for(
        self, tokens: Sequence[str], worker: str = WORKER, **options: Any
    ) -> list[Claim | Wait]:
        """Ask for a job for each of the tokens, in one round trip."""
        options = {"lease_ms": 15_000} | options
        return self.bucket.claim_several(worker, tokens, now_us=self.now_us, **options)

    def set(self, **change: Any) -> list[Change]:
        """Let an operator set numbers and switches, as ``BucketChange`` names them."""
        control = BucketControl(self.redis, by="ada")
        return control.set("default", BucketChange(**change), now_us=self.now_us)

    def claim(self) -> Claim:
        """Take the next job, going on in time until there is one."""
        for _ in range(1000):
            answer = self.ask()
            if isinstance(answer, Claim):
                self.now_us = max(self.now_us, answer.slot_us)
                return answer
            self.sleep(answer.seconds)
        raise AssertionError("no job left the bucket")

    def finish(self, claim: Claim, result: str = "null", used: str = "") -> Ended | None:
        return self.leases.complete(
            AttemptReport(claim.token, "work", used=used, claim=claim),
            "finished",
            result=result,
            now_us=self.now_us,
        )

    def give_back_unstarted(self, claim: Claim) -> Ended | None:
        return self.leases.give_back(AttemptReport(claim.token), "", now_us=self.now_us)

    def fail(self, claim: Claim, error: str = "KeyError: 'x'") -> Ended | None:
        return self.leases.complete(
            AttemptReport(claim.token, "work", error=error, trace=error),
            "failed",
            now_us=self.now_us,
        )

    def retry(self, claim: Claim, delay: float, error: str = "KeyError: 'x'") -> Ended | None:
        return self.leases.give_back(
            AttemptReport(claim.token, "work", error=error, trace=error),
            "retrying",
            delay_us=round(delay * SECOND_US),
            now_us=self.now_us,
        )

    def hold(
        self, claim: Claim, seconds: float, error: str = "RateLimited: wait", **options: Any
    ) -> Ended | None:
        return self.leases.give_back(
            AttemptReport(claim.token, "work", error=error),
            "rate_limited",
            hold=Hold(round(seconds * SECOND_US), **options),
            now_us=self.now_us,
        )

    def refuse_as_too_large(self, claim: Claim) -> Ended | None:
        return self.leases.complete(
            AttemptReport(claim.token, "work", error="RateLimited: too large"),
            "refused",
            now_us=self.now_us,
        )

    def reap(self) -> Reaped:
        return self.leases.reap(now_us=self.now_us)

    def reap_until_silent(self) -> int:
        """Let other workers look until the leases have run out; return how many were reaped."""
        reaped = 0
        for _ in range(9):
            reaped += self.reap().count
            self.sleep(2)
        return reaped

    def cancel(self, job_id: str) -> Cancellation | None:
        return self.canceller.cancel(job_id, now_us=self.now_us)

    def read(self, job_id: str) -> JobState:
        state = self.reader.read(job_id, self.now_us)
        assert state is not None
        return state

    def status(self, job_id: str) -> str:
        return self.read(job_id).status

    def log(self) -> dict[str, dict[str, Any]]:
        """Return the lines that wait to be logged, by token."""
        kept = self.redis.hgetall(keys.unlogged("default"))
        return {token.decode(): json.loads(line.split(b"\n", 1)[1]) for token, line in kept.items()}
