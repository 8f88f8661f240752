"""Runs many attempts at once, in children of its process, and ends each by its outcome."""

import logging
from collections.abc import Collection, Mapping
from dataclasses import fields
from functools import partial
from itertools import groupby
from operator import attrgetter

from spigot.jobs.bucket.claim_answers import Claim
from spigot.runtime.count_text import count_text
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.leases.lease_renewer import LeaseRenewer
from spigot.worker.running import outcome as outcomes
from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.early_stops import EarlyStops
from spigot.worker.running.executor import Executor
from spigot.worker.running.outcome import Outcome
from spigot.worker.running.runner import Runner

from .children import Children
from .endings import Endings
from .flights import Flight, Flights
from .lonely_jobs import LonelyJobs
from .pool_process import PoolProcess
from .suspicion import ALONE, suspicion_of, suspicions

log = logging.getLogger(__name__)

GIVE_BACK_SECONDS = 1.5
"""Time that functions have after the grace, to end when they are told."""

PASS_OVER_SECONDS = 2.0
"""How long a suspect waits for which there is no place."""

LAST_SECONDS = 1.0
"""Time in which outcomes that are left then are written."""

STEP_SECONDS = 0.05

SENT_AT_ONCE = 8
"""Jobs that one message brings to a process at most: the first ones must not be late for others."""

values_of = attrgetter(*(field.name for field in fields(Claim)))


class PoolExecutor:
    """Takes claimed jobs and returns at once.

    Args:
        executor: Ends attempts.
        children: Run them.
        lonely_jobs: Runs those that may run beside no other.
        renewer: Renews the leases, all of them together.
        stop: What signals said.
        grace_seconds: How long functions may run on after a signal.
        flights: Those that run, and the places that are left.
        early_stops: Commands that came before their job was in hand.
    """

    def __init__(
        self,
        executor: Executor,
        children: Children,
        lonely_jobs: LonelyJobs,
        renewer: LeaseRenewer,
        stop: StopSignals,
        grace_seconds: float,
        flights: Flights,
        early_stops: EarlyStops,
    ) -> None:
        self._children = children
        self._lonely_jobs = lonely_jobs
        self._renewer = renewer
        self._stop = stop
        self._grace_seconds = grace_seconds
        self._early_stops = early_stops
        self._flights = flights
        self._endings = Endings(executor, flights, lambda: children.tell_all("refusal_written"))
        self._executor = executor
        self._unsent: list[Flight] = []
        self.runner: Runner = _PoolRunner(self)

    def start(self) -> None:
        """Fork the first child, before this process has threads, and start those."""
        self._children.start(self._note_ends, self._note_death)
        self._endings.start()

    @property
    def running(self) -> ClaimedJob | None:
        """The oldest of the running jobs."""
        return self._flights.oldest

    @property
    def has_process(self) -> bool:
        """Whether there is a process for jobs that nobody suspects."""
        return bool(self._children.main_pid)

    def wait_for_place(self) -> None:
        """Wait until a job may be claimed, or the worker is to stop; only in the main thread."""
        while not (self._stop.requested or self._has_place()):
            self._flights.wait_for(self._has_place, STEP_SECONDS)

    def _has_place(self) -> bool:
        return self.has_process and self._flights.free_places > 0

    def execute(self, job: ClaimedJob, *, more_follow: bool = False) -> None:
        """Have a claimed job run in its slot; returns at once.

        Args:
            job: The job.
            more_follow: Whether another one comes at once, with which it may be sent.
        """
        if self._stop.requested:
            self._give_up(job)
        elif suspicion_of(job) >= ALONE:
            self._run_alone(job)
        else:
            self._run_among_others(job)
        if not more_follow or len(self._unsent) >= SENT_AT_ONCE:
            self.send()

    def refuse(self, claim: Claim, error: Exception) -> None:
        """End the attempt of a job that cannot even be read: it has failed."""
        self.send()  # others need not wait for that
        self._executor.refuse(claim, error)

    def drain(self) -> None:
        """Wait until all attempts have ended, or the grace is over; give the others back."""
        self.send()
        told = insisted = False
        while (running := self._flights.all()) or self._flights.ending:
            if self._stop.requested and not told:
                told = True
                self._children.tell_all("stop")
            if self._stop.requested_for(self._grace_seconds) and not insisted:
                insisted = True
                for flight in running:
                    flight.tell("give_back")
            if self._stop.requested_for(self._grace_seconds + GIVE_BACK_SECONDS):
                break
            self._flights.wait_for_change(STEP_SECONDS)
        self._children.close()
        for flight in self._flights.all():
            if flight.child is not None and self._flights.leave(flight.job.claim.token):
                self._end_soon(flight.job, self._unfinished(flight))
        self._flights.wait_for(lambda: not self._flights.ending, LAST_SECONDS)

    @staticmethod
    def _unfinished(flight: Flight) -> Outcome:
        if flight.is_cancelled:
            return outcomes.cancelled()
        return outcomes.given_back() if flight.has_begun else Outcome("not_started")

    # Where a job runs

    def _run_among_others(self, job: ClaimedJob) -> None:
        child = self._children.choose(suspicion_of(job))
        if child is None:
            self._find_no_place(job)
            return
        token = job.claim.token
        flight = self._flights.enter(job, child)
        if self._early_stops.take(job.id) and self._flights.leave(token):
            self._end_soon(job, outcomes.cancelled())
            return
        child.table.enter(flight.place)
        self._renewer.keep(token, partial(flight.tell, "lose"), partial(flight.tell, "cancel"))
        child.taken += 1
        self._unsent.append(flight)

    def send(self) -> None:
        """Send the jobs that were not sent yet, to each process by one message: each wakes it."""
        unsent, self._unsent = self._unsent, []
        for child, group in groupby(unsent, attrgetter("child")):
            flights = list(group)
            claims = [(flight.place, values_of(flight.job.claim)) for flight in flights]
            is_sent = child.send("run", claims)
            for flight in flights:
                if flight.is_cancelled:  # meanwhile: the child may not have known the job
                    flight.tell("cancel")
                if not is_sent and self._flights.leave(flight.job.claim.token):
                    self._end_soon(flight.job, self._unfinished(flight))

    def _run_alone(self, job: ClaimedJob) -> None:
        leave = partial(self._flights.leave, job.claim.token)
        self._flights.enter(job)
        if not self._lonely_jobs.run(job, leave):
            leave()
            self._find_no_place(job)

    def _find_no_place(self, job: ClaimedJob) -> None:
        """Give a job back: a suspect later, so that it stops no other."""
        self._give_up(job, PASS_OVER_SECONDS if suspicion_of(job) else 0)

    def _give_up(self, job: ClaimedJob, seconds: float = 0) -> None:
        is_stopped = self._early_stops.take(job.id)
        unbegun = Outcome("not_started", retry_after=seconds)
        self._end_soon(job, outcomes.cancelled() if is_stopped else unbegun)

    # What became of it

    def _note_ends(self, child: PoolProcess, outcomes: Mapping[str, Outcome]) -> None:
        ends = []
        for flight in self._flights.leave_all(outcomes):
            if flight is not None:
                child.table.leave(flight.place)
                ends.append((flight.job, outcomes[flight.job.claim.token]))
        self._end_all_soon(ends)

    def _note_death(self, child: PoolProcess, culprit: int | None) -> None:
        flights = self._flights.of(child)
        begun = [flight for flight in flights if flight.has_begun]
        suspects = suspicions(
            [(f.place, suspicion_of(f.job)) for f in begun], culprit, self._flights.concurrency
        )
        log.error(
            "pool process %d %s; %s again, %d had not begun; %s",
            child.pid,
            child.end,
            count_text(len(begun), "job runs", "jobs run"),
            len(flights) - len(begun),
            f"named is {self._flights.name_of(child, culprit)}"
            if culprit is not None
            else "nobody is named",
        )
        for flight in sorted(flights, key=lambda f: f.job.claim.slot_us, reverse=True):
            if self._flights.leave(flight.job.claim.token):
                self._end_soon(flight.job, self._death_of(flight, suspects))

    def _death_of(self, flight: Flight, suspects: dict[int, int]) -> Outcome:
        child = flight.child
        assert child is not None
        if flight.is_cancelled or not flight.has_begun:
            return self._unfinished(flight)
        return Outcome(
            "pool_died",
            error=f"Killed: its pool process {child.end}",
            late_us=child.table.late_us(flight.place),
            suspicion=suspects.get(flight.place),
        )

    def _end_soon(self, job: ClaimedJob, ended: Outcome) -> None:
        self._end_all_soon([(job, ended)])

    def _end_all_soon(self, ends: Collection[tuple[ClaimedJob, Outcome]]) -> None:
        self._renewer.keep_ended(job.claim.token for job, _ in ends)
        self._endings.add(ends)

    # What RQ's side asks

    def kill(self) -> None:
        """End everything at once; safe from any thread and signal handler."""
        self._children.kill()
        self._lonely_jobs.kill()

    def cancel(self, job_id: str) -> None:
        """End the attempt of this job, if it runs here."""
        for flight in self._flights.all():
            if flight.job.id == job_id:
                flight.tell("cancel")
        self._lonely_jobs.cancel(job_id)


class _PoolRunner:
    """What RQ's side asks of a runner."""

    def __init__(self, executor: PoolExecutor) -> None:
        self._executor = executor

    @property
    def pid(self) -> int:
        """Of the process that runs most attempts; 0 for none."""
        return self._executor._children.main_pid if self._executor.running else 0

    def run(self, job: ClaimedJob) -> Outcome:
        """Not asked of a pool, which runs more than one."""
        raise NotImplementedError

    def kill(self) -> None:
        """End everything at once."""
        self._executor.kill()

    def cancel(self, job_id: str) -> None:
        """End the attempt of this job."""
        self._executor.cancel(job_id)
