"""Ends an attempt according to how it went: the job ends too, or goes back to its bucket."""

from rq.job import Retry

from spigot.jobs.types.job_catalog import JobCatalog
from spigot.worker.leases.attempt_report import AttemptReport, Hold
from spigot.worker.leases.lease_answers import Ended
from spigot.worker.leases.lease_store import LeaseStore

from .claimed_job import ClaimedJob
from .outcome import Outcome

SECOND_US = 1_000_000


def settle(
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
    report = _report(job, outcome)
    match outcome.status:
        case "finished":
            return leases.complete(report, "finished", result=outcome.result)
        case "failed" | "retry" if _runs_again(job, outcome):
            return leases.give_back(report, "retrying", delay_us=_delay_us(job, outcome, catalog))
        case "failed" | "retry":
            return leases.complete(report, "failed")
        case "cancelled" | "refused" as status:
            return leases.complete(report, status)
        case "rate_limited":
            hold = Hold(round(outcome.retry_after * SECOND_US), outcome.kind, outcome.stated)
            return leases.give_back(report, "rate_limited", hold=hold)
        case "not_started":
            delay_us = round(outcome.retry_after * SECOND_US) or None
            return leases.give_back(report, "", delay_us=delay_us)
        case "given_back" | "lost" | "died" | "pool_died" as status:
            return leases.give_back(
                report, "reaped", counts_as_reap=status == "died", suspicion=outcome.suspicion
            )


def _report(job: ClaimedJob, outcome: Outcome) -> AttemptReport:
    # RQ shows a traceback; what killed the process stands in for that of a job that died
    trace = outcome.error if outcome.status == "died" else outcome.trace
    return AttemptReport(
        job.claim.token,
        job.readable_name(),
        error=outcome.error,
        trace=trace,
        progress=outcome.progress,
        late_us=outcome.late_us,
        used=outcome.used,
        noted=outcome.noted,
        counted_as=job.type_name or "rq",
        claim=job.claim,
    )


def _runs_again(job: ClaimedJob, outcome: Outcome) -> bool:
    """Return whether a job that failed, or returned RQ's ``Retry``, has a retry left."""
    if outcome.status == "retry":
        return (job.number_of_retries or 0) < outcome.retries
    return bool(job.should_retry) and not outcome.final


def _delay_us(job: ClaimedJob, outcome: Outcome, catalog: JobCatalog) -> int | None:
    """Return how long such a job waits; None for the head of the queue."""
    if outcome.status == "retry":
        seconds = Retry.get_interval(job.number_of_retries or 0, list(outcome.intervals))
        return seconds * SECOND_US
    job_type = catalog.find(job.type_name)
    if job_type is not None:
        return job_type.retries.delay_us((job.number_of_retries or 0) + 1)
    if job.enqueue_at_front_on_retry and not job.retry_intervals:
        return None
    return job.get_retry_interval() * SECOND_US
