"""What RQ, its commands and its dashboard ask of a worker, or would do to its jobs."""

import logging
import signal
from datetime import UTC, datetime
from typing import Any

from redis import Redis
from redis.client import Pipeline
from rq import Worker, worker_registration
from rq.command import handle_command, parse_payload
from rq.worker import WorkerStatus

from spigot.worker.running.early_stops import EarlyStops
from spigot.worker.running.runner import RunsJobs

from .command_channel import CommandChannel

log = logging.getLogger(__name__)


class RqSide(Worker):
    """RQ's Worker, which answers from what runs here and leaves the jobs alone.

    Attributes:
        executor: Runs the jobs.
        commands: Of RQ to this worker.
        early_stops: Those of them that came before their job was in hand.
    """

    executor: RunsJobs
    commands: CommandChannel
    early_stops: EarlyStops

    def _set_ip_address(self, connection: Redis) -> None:
        """RQ would ask the server, which may be away while a worker is built."""
        self.ip_address = "unknown"

    @property
    def connection_timeout(self) -> int:
        """RQ would raise the socket's time-out to minutes; ours notices a server that hangs."""
        return 0

    def get_state(self) -> str:
        """Return what RQ's record of this worker says of it."""
        return WorkerStatus.BUSY if self.executor.running else WorkerStatus.IDLE

    def get_current_job_id(self, pipeline: Pipeline | None = None) -> str | None:
        """Return the running job, which RQ's command to stop it must name."""
        running = self.executor.running
        return running.id if running else None

    def handle_payload(self, message: dict[str, Any]) -> None:
        """Obey a command of RQ; called from the thread that hears it.

        RQ's own would stop the job that the worker shows, of which a pool has more, and drop the
        command for one that was claimed just now.
        """
        payload = parse_payload(message)
        if payload["command"] != "stop-job":
            handle_command(self, payload)
            return
        job_id = payload["job_id"]
        if self.early_stops.note_stop(job_id):
            log.info("job %s is stopped when it begins, if it was claimed here", job_id)
        self.executor.runner.cancel(job_id)

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the running attempt, as RQ's command asks for; called from its thread."""
        self.executor.runner.kill()

    @property
    def horse_pid(self) -> int:
        """Process that runs the present attempt; 0 for none."""
        return self.executor.runner.pid

    def maintain(self) -> None:
        """Do RQ's own maintenance, when it is due."""
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()  # type: ignore[no-untyped-call]

    def clean_registries(self) -> None:
        """Forget dead workers. RQ's clean-up of jobs fails some that run: the reaper does it."""
        for queue in self.queues:
            # one of all workers does it until the lock runs out: each would look at all others
            if queue.acquire_maintenance_lock():
                worker_registration.clean_worker_registry(queue)
        self.last_cleaned_at = datetime.now(UTC)  # type: ignore[assignment]

    def subscribe(self) -> None:
        """Listen to RQ's commands, also when the server was away meanwhile."""
        self.commands.open()

    def unsubscribe(self) -> None:
        """Listen to RQ's commands no more."""
        self.commands.close()
