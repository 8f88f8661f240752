"""Runs jobs that may run beside no other: each in a work horse, whose death is the job's own."""

import logging
import threading
from collections.abc import Callable

from redis.exceptions import RedisError

from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.executor import Executor
from spigot.worker.running.horse_runner import HorseRunner
from spigot.worker.running.runner import RunnerTools

log = logging.getLogger(__name__)


class LonelyJobs:
    """A few work horses beside a pool.

    Args:
        executor: Ends attempts.
        tools: Of work horses.
        leases: Of the bucket.
        most: How many may run at a time.
    """

    def __init__(
        self, executor: Executor, tools: RunnerTools, leases: LeaseStore, most: int
    ) -> None:
        self._executor = executor
        self._tools = tools
        self._leases = leases
        self._most = most
        self._runners: dict[str, HorseRunner] = {}

    def run(self, job: ClaimedJob, on_end: Callable[[], object]) -> bool:
        """Have a job run; return whether there is a place for it.

        Args:
            job: The job.
            on_end: Called when its attempt has ended.
        """
        if len(self._runners) >= self._most:
            return False
        runner = self._runners[job.id] = HorseRunner(self._tools)
        # its horse dies with the thread that forked it, so the thread stays until the end
        args = (job, runner, on_end)
        threading.Thread(target=self._run, args=args, name=f"alone-{job.id}", daemon=True).start()
        return True

    def kill(self) -> None:
        """End all; safe from any thread and signal handler."""
        for runner in list(self._runners.values()):
            runner.kill()

    def cancel(self, job_id: str) -> None:
        """End this job, if it runs here."""
        runner = self._runners.get(job_id)
        if runner is not None:
            runner.cancel(job_id)

    def _run(self, job: ClaimedJob, runner: HorseRunner, on_end: Callable[[], object]) -> None:
        log.warning("job %s runs alone: it is suspected to have ended its pool", job.id)
        try:
            self._note_alone(job)
            self._executor.finish(job, runner.run(job))
        except Exception:
            log.exception("job %s: its lease will bring it back", job.id)
        finally:
            self._runners.pop(job.id, None)
            on_end()

    def _note_alone(self, job: ClaimedJob) -> None:
        try:
            self._leases.note_alone(job.claim.token)
        except RedisError as error:
            log.warning("job %s: should this machine die, it does not count: %s", job.id, error)
