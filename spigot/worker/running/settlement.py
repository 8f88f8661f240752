"""Ends an attempt according to how it went: the job ends too, or goes back to its bucket."""

from typing import TypedDict

from rq.job import Retry

from spigot.jobs.types.job_catalog import JobCatalog
from spigot.worker.leases.lease_store import Ended, LeaseStore

from .function_call import ClaimedJob
from .outcome import Outcome

SECOND_US = 1_000_000


class _Seen(TypedDict):
    """What is known of an attempt however it ended."""

    progress: str
    late_us: int | None


def settle(  # noqa: C901 - a case per outcome
    job: ClaimedJob, outcome: Outcome, leases: LeaseStore, catalog: JobCatalog
) -> Ended | None:
    """End the attempt as its outcome asks for.

    Args:
        job: Whose attempt it is.
        outcome: How it went.
        leases: Those of the worker's bucket.
        catalog: Where the retry policies of job types are.

    Returns:
        None if it was given to somebody else: then nothing was changed.

    Raises:
        redis.RedisError: It is unknown whether it was ended; calling again is safe.
    """
    token, name = job.claim.token, job.readable_name()
    seen = _Seen(progress=outcome.progress, late_us=outcome.late_us)
    match outcome.status:
        case "finished":
            return leases.complete(token, "finished", name, result=outcome.result, **seen)
        case "cancelled":
            return leases.complete(token, "cancelled", name, error=outcome.error, **seen)
        case "failed" if job.should_retry and not outcome.final:
            return _retry(job, outcome, leases, _delay_us(job, catalog))
        case "retry" if (job.number_of_retries or 0) < outcome.retries:
            seconds = Retry.get_interval(job.number_of_retries or 0, list(outcome.intervals))
            return _retry(job, outcome, leases, seconds * SECOND_US)
        case "failed" | "retry":
            return leases.complete(
                token, "failed", name, error=outcome.error, trace=outcome.trace, **seen
            )
        case "rate_limited":
            hold_us = round(outcome.retry_after * SECOND_US)
            return leases.give_back(
                token,
                "rate_limited",
                name,
                error=outcome.error,
                hold_us=hold_us,
                kind=outcome.kind,
                stated=outcome.stated,
                **seen,
            )
        case "refused":
            return leases.complete(
                token, "refused", name, error=outcome.error, trace=outcome.trace, **seen
            )
        case "not_started":
            return leases.give_back(token, "", name)
        case "given_back" | "lost":
            return leases.give_back(token, "reaped", name, error=outcome.error, **seen)
        case "died":
            return leases.give_back(
                token,
                "reaped",
                name,
                error=outcome.error,
                trace=outcome.error,
                counts_as_reap=True,
                **seen,
            )


def _retry(
    job: ClaimedJob, outcome: Outcome, leases: LeaseStore, delay_us: int | None
) -> Ended | None:
    return leases.give_back(
        job.claim.token,
        "retrying",
        job.readable_name(),
        error=outcome.error,
        trace=outcome.trace,
        delay_us=delay_us,
        progress=outcome.progress,
        late_us=outcome.late_us,
    )


def _delay_us(job: ClaimedJob, catalog: JobCatalog) -> int | None:
    """Return how long a failed job waits; None for the head of the queue."""
    job_type = catalog.find(job.type_name)
    if job_type is not None:
        return job_type.retries.delay_us((job.number_of_retries or 0) + 1)
    if job.enqueue_at_front_on_retry and not job.retry_intervals:
        return None
    return job.get_retry_interval() * SECOND_US
