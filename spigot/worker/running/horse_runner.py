"""Runs attempts in work horses: one process each, which can be killed without harm to others."""

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from . import outcome
from .claimed_job import ClaimedJob
from .outcome import Outcome
from .prepared_call import prepare
from .runner import LOOK_SECONDS, TIMEOUT_MARGIN, RunnerTools
from .work_horse import WorkHorse

log = logging.getLogger(__name__)

FORK_AGAIN_SECONDS = 0.5


class HorseRunner:
    """Forks a work horse for each attempt."""

    def __init__(self, tools: RunnerTools) -> None:
        self.pid = 0
        self._tools = tools
        self._stop = tools.stop
        self._horse: WorkHorse | None = None
        self._job_id = ""
        self._is_cancelled = False

    def run(self, job: ClaimedJob) -> Outcome:
        """Run the job's function in its slot, with its lease renewed, and say how it went."""
        self._is_cancelled, self._job_id = False, job.id
        try:
            if self._stop.requested or time.monotonic() >= job.claim.stands_until:
                return self._tools.not_begun(job)
            if self._tools.early_stops.take(job.id):
                return outcome.cancelled()
            return self._run(job)
        finally:
            self._job_id = ""

    def _run(self, job: ClaimedJob) -> Outcome:
        try:
            held = partial(self._tools.hold_news.came_after, job.claim)
            horse = WorkHorse(lambda: self._prepare(job), job.start_at, held)
        except OSError as error:
            log.error("job %s is given back, no work horse can be forked: %s", job.id, error)
            self._stop.wait(FORK_AGAIN_SECONDS)
            return outcome.cancelled() if self._is_cancelled else Outcome("not_started")
        return self._follow(horse, job)

    def kill(self) -> None:
        """End the present attempt at once; safe from any thread and signal handler."""
        horse = self._horse
        if horse is not None:
            horse.kill()

    def cancel(self, job_id: str) -> None:
        """End the attempt of this job, if it is the present one; safe as ``kill``."""
        if self._job_id == job_id:
            self._is_cancelled = True
            self.kill()

    def _follow(self, horse: WorkHorse, job: ClaimedJob) -> Outcome:
        """Keep the lease until the horse has ended, and say how it went."""
        lost = threading.Event()

        def lose() -> None:
            lost.set()
            horse.kill()

        self._horse, self.pid = horse, horse.pid
        if self._is_cancelled:  # while it was forked
            horse.kill()
        self._tools.renewer.keep(job.claim.token, lose, lambda: self.cancel(job.id))
        try:
            seen = self._watch(horse, job)
        finally:
            self._tools.renewer.release(job.claim.token)
            horse.reap()
            self._horse, self.pid = None, 0
        if self._is_cancelled:
            seen = outcome.cancelled()
        told = self._judge(horse, job, outcome.lost() if lost.is_set() else seen)
        return replace(told, late_us=horse.late_us)

    @staticmethod
    def _judge(horse: WorkHorse, job: ClaimedJob, seen: Outcome) -> Outcome:
        """Weigh what the horse told against what was seen of it."""
        if seen.status == "given_back" and not horse.started:
            return Outcome("not_started")
        if horse.outcome is not None:
            return horse.outcome
        if seen.status == "died" and job.on_horse_killed is not None:
            job.on_horse_killed(job, horse.pid, horse.wait_status, horse.rusage)
        return seen

    def _prepare(self, job: ClaimedJob) -> Callable[[], Outcome]:
        """Be the horse, up to its slot."""
        os.environ["RQ_WORKER_ID"] = job.worker_name or ""
        os.environ["RQ_JOB_ID"] = job.id
        return prepare(job, self._tools.catalog, self._tools.death_penalty).run

    def _watch(self, horse: WorkHorse, job: ClaimedJob) -> Outcome:
        """Wait for the horse's end, or kill it if there is reason to.

        Returns:
            What to make of it if the horse itself told nothing.
        """
        latest = job.start_at + job.longest_seconds + TIMEOUT_MARGIN
        while not horse.wait(LOOK_SECONDS, self._stop):
            self._tools.renewer.expire()
            if self._stop.requested and (
                not horse.started or self._stop.requested_for(self._tools.grace_seconds)
            ):
                return outcome.given_back()
            if time.monotonic() > latest:
                return Outcome("failed", error=f"JobTimeoutException: ran over {job.timeout} s")
        if horse.held_back:
            return Outcome("not_started")
        if horse.cannot_tell:
            return Outcome("failed", error="ClosedPipe: the function closed its worker's pipe")
        return Outcome("died", error=f"Killed: its work horse {horse.end}")
