"""Executes claimed jobs: runs the function, ends the attempt, does what follows from its end."""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from redis.exceptions import RedisError

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.log_ids import log_ids
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.leases.asking_leases import Asker, AskingLeases
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.dependents import release_dependents
from spigot.worker.leases.lease_answers import Ended
from spigot.worker.leases.lease_batch import LeaseBatch
from spigot.worker.leases.lease_renewer import LeaseRenewer
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.result_log import ResultLog
from spigot.worker.process.redis_availability import RedisAvailability

from .claimed_job import ClaimedJob
from .outcome import Outcome, one_line
from .rq_callbacks import RqCallbacks
from .runner import Runner
from .settlement import settle

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


@dataclass(slots=True, kw_only=True)
class Executor:
    """One job after the other; none is left without an end because the server is away.

    Attributes:
        runner: Runs the function.
        renewer: Renews the lease until the outcome is written.
        leases: Of the worker's bucket.
        last_leases: The same with little patience, for a worker that stops.
        catalog: The job types.
        result_log: Gets a line for each attempt that ended.
        rq_callbacks: Runs callbacks and webhooks.
        availability: Waits for the server.
        stop: What signals said.
        grace_seconds: How long a stopping worker tries to write an outcome.
        on_start: Is told of each attempt that has ended how late it started.
        asker: Asks for the next job in the round trip that ends one; None if another thread does.
        running: The present job.
    """

    runner: Runner
    renewer: LeaseRenewer
    leases: LeaseStore
    last_leases: LeaseStore
    catalog: JobCatalog
    result_log: ResultLog
    rq_callbacks: RqCallbacks
    availability: RedisAvailability
    stop: StopSignals
    grace_seconds: float
    on_start: Callable[[Claim, int | None], None]
    asker: Asker | None
    running: ClaimedJob | None = None

    def execute(self, job: ClaimedJob) -> None:
        """Run a claimed job in its slot and end the attempt."""
        with log_ids(job_id=job.id, request_id=job.request_id):
            self._execute(job)

    def _execute(self, job: ClaimedJob) -> None:
        self.running = job
        outcome = self.runner.run(job)
        self._finish(job, outcome)
        self.running = None

    def finish(self, job: ClaimedJob, outcome: Outcome) -> None:
        """End the attempt of a job that something else ran; safe from any thread."""
        with log_ids(job_id=job.id, request_id=job.request_id):
            self._finish(job, outcome)

    def finish_all(self, ended: Sequence[tuple[ClaimedJob, Outcome]]) -> None:
        """End the attempts of several jobs together; safe from any thread.

        Args:
            ended: Jobs that want neither callbacks nor webhooks, with what became of them.
        """
        for job, outcome in ended:
            self.on_start(job.claim, outcome.late_us)
        try:
            told = self._until_answered(lambda: self._settle_all(ended))
        finally:
            self.renewer.release(*(job.claim.token for job, _ in ended))
        records = self.result_log.write_all(
            {
                job.claim.token: answer.line
                for (job, _), answer in zip(ended, told or (), strict=False)
                if answer is not None and answer.line
            }
        )
        for (job, outcome), answer in zip(ended, told or [None] * len(ended), strict=True):
            with log_ids(job_id=job.id, request_id=job.request_id):
                if answer is None:
                    _tell_lost(job)
                else:
                    _tell(job, outcome, records.get(job.claim.token))
                    self._release_dependents(job.id, answer)

    def _settle_all(self, ended: Sequence[tuple[ClaimedJob, Outcome]]) -> list[Ended | None]:
        batch = LeaseBatch(self._leases_now())
        for job, outcome in ended:
            settle(job, outcome, batch, self.catalog)
        return batch.write()

    def _finish(self, job: ClaimedJob, outcome: Outcome) -> None:
        self.on_start(job.claim, outcome.late_us)
        ended = self._end(job, outcome)
        if ended is None:
            _tell_lost(job)
            return
        _tell(job, outcome, self._write_line(job.claim.token, ended))
        self._release_dependents(job.id, ended)
        self._send_webhooks(job, outcome, ended)

    def refuse(self, claim: Claim, error: Exception) -> None:
        """End the attempt of a job that cannot even be read: it has failed."""
        reason = f"Unreadable: {one_line(error)}"
        log.error("job %s failed: %s", claim.job_id, reason)
        report = AttemptReport(claim.token, "unreadable", reason)
        ended = self._until_answered(lambda: self._leases_now().complete(report, "failed"))
        if ended is not None:
            self._write_line(claim.token, ended)
            self._release_dependents(claim.job_id, ended)

    def _end(self, job: ClaimedJob, outcome: Outcome) -> Ended | None:
        """Write the outcome; while the server is away the lease is kept, to write it later."""
        self.renewer.keep(job.claim.token)
        try:
            if outcome.status == "cancelled":
                self.rq_callbacks.call_stopped_callback(job)
            return self._until_answered(
                lambda: settle(job, outcome, self._leases_for(job, outcome), self.catalog)
            )
        finally:
            self.renewer.release(job.claim.token)

    def _until_answered(self, end: Callable[[], Answer]) -> Answer | None:
        return self.availability.retry_until_answered(
            end, give_up=lambda: self.stop.requested_for(self.grace_seconds)
        )

    def _leases_now(self) -> LeaseStore:
        return self.last_leases if self.stop.requested else self.leases

    def _leases_for(self, job: ClaimedJob, outcome: Outcome) -> LeaseStore:
        """Return what writes the end: also asks for the next job, if nothing long follows."""
        is_usual = outcome.status == "finished" and not job.webhooks
        if self.asker is None or not is_usual or self.stop.requested:
            return self._leases_now()
        return AskingLeases(self.leases, self.asker)

    def _write_line(self, token: str, ended: Ended) -> Any:
        """Have the result log's line written, if there is one; return what it says."""
        return self.result_log.write(token, ended.line) if ended.line else None

    def _release_dependents(self, parent_id: str, ended: Ended) -> None:
        if not ended.has_dependents:
            return
        claimed = self.asker.token_in_question if self.asker else None
        if claimed:
            self.renewer.keep(claimed)  # releasing many takes longer than a lease stands
        try:
            release_dependents(self._leases_now(), parent_id)
        except RedisError as error:
            log.warning("dependents of job %s will be released later: %s", parent_id, error)
        finally:
            if claimed:
                self.renewer.release(claimed)

    def _send_webhooks(self, job: ClaimedJob, outcome: Outcome, ended: Ended) -> None:
        if job.webhooks and ended.line:
            job.ended_at = datetime.now(UTC)
            status = json.loads(ended.line)["status"]
            self.rq_callbacks.send_webhooks(job, status, outcome.trace)


def _tell_lost(job: ClaimedJob) -> None:
    log.warning("job %s: attempt %s is not ours any more", job.id, job.claim.token)


def _tell(job: ClaimedJob, outcome: Outcome, record: Any) -> None:
    """Log how the attempt ended; with the traceback, if its function raised.

    Args:
        job: The job.
        outcome: How it ended.
        record: What the result log says of it; None if there is no line.
    """
    level = logging.WARNING if outcome.status == "failed" else logging.INFO
    line, name = record or {}, job.readable_name()
    fields = {
        "job_id": job.id,
        "job_type": name,
        "job_status": line.get("status", outcome.status),
        "seconds": line.get("ran_for"),
        "error": outcome.error,
        **({"traceback": outcome.trace} if outcome.trace else {}),
    }
    log.log(level, "job %s (%s) %s", job.id, name, outcome.summary, extra={"fields": fields})
