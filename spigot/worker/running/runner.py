"""What runs attempts, whether in a process each or in the worker's own."""

from dataclasses import dataclass
from typing import Protocol

from rq.timeouts import BaseDeathPenalty

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.leases.lease_renewer import LeaseRenewer

from .claimed_job import ClaimedJob
from .early_stops import EarlyStops
from .hold_news import HoldNews
from .outcome import Outcome, cancelled

LOOK_SECONDS = 0.25
"""How often a running horse's deadlines are looked at; its end and signals are seen at once."""

TIMEOUT_MARGIN = 5.0
"""Seconds after its timeout at which a horse that does not heed it is killed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerTools:
    """What a runner works with.

    Attributes:
        catalog: The job types.
        renewer: Renews the lease while the function runs.
        stop: What signals said.
        grace_seconds: How long a function may run on after a signal.
        death_penalty: RQ's way to end a function at its timeout.
        hold_news: Whether the bucket was held since a job was claimed.
        early_stops: Whether a job was to be stopped since it was claimed.
    """

    catalog: JobCatalog
    renewer: LeaseRenewer
    stop: StopSignals
    grace_seconds: float
    death_penalty: type[BaseDeathPenalty]
    hold_news: HoldNews
    early_stops: EarlyStops

    def not_begun(self, job: ClaimedJob) -> Outcome:
        """Return what became of a claimed job that is not to begin."""
        return cancelled() if self.early_stops.take(job.id) else Outcome("not_started")


class Runner(Protocol):
    """Runs one attempt after the other."""

    @property
    def pid(self) -> int:
        """Process that runs the present one; 0 for none."""
        ...

    def run(self, job: ClaimedJob) -> Outcome:
        """Run the job's function in its slot, with its lease renewed, and say how it went."""
        ...

    def kill(self) -> None:
        """End the present attempt at once; safe from any thread and signal handler."""
        ...

    def cancel(self, job_id: str) -> None:
        """End the attempt of this job, if it is the present one; safe as ``kill``.

        Whoever stops a job that may not have begun notes that in the early stops first.
        """
        ...


class RunsJobs(Protocol):
    """What runs the worker's jobs.

    Attributes:
        runner: Runs the functions.
    """

    runner: Runner

    @property
    def running(self) -> ClaimedJob | None:
        """The present job; the oldest, if there are several."""
        ...

    def execute(self, job: ClaimedJob) -> None:
        """Have a claimed job run in its slot, and end its attempt."""
        ...

    def refuse(self, claim: Claim, error: Exception) -> None:
        """End the attempt of a job that cannot be read."""
        ...
