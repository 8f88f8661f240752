"""The rate-aware worker: RQ's Worker, with Spigot's bucket in front and its leases behind.

This file is the loop; ``assembly.py`` makes the parts that it calls, and ``rq/rq_side.py`` is what
RQ asks of a worker. A job's life here, step by step:

1. ``Claimer`` claims it from the bucket, a little ahead of its slot. From this moment a lease
   says that it runs here. Until there is a job to claim, ``IdleTime`` sleeps and looks around.
2. ``Executor`` has a work horse run the function in its slot (``HorseRunner``), while the thread
   of ``LeaseRenewer`` renews the lease.
3. ``settle`` ends the attempt by its outcome: ``LeaseStore.complete`` if the job is finished or
   failed, ``give_back`` if it runs again. The same script removes the lease.
   The same round trip asks for the next job, unless the worker is to stop.
4. The line for the result log comes back from that script; ``ResultLog`` appends it to the file.
5. Jobs that wait for this one are released, and ``RqCallbacks`` sends its webhooks.

If this process dies in between, the lease runs out and another worker reaps it and puts
the job back at the head of its queue. ``docs/nothing-lost.md`` tells it all.
"""

import logging
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from redis import Redis
from redis.exceptions import RedisError
from rq import Queue
from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import DequeueStrategy

from spigot.jobs.bucket.claim_answers import SLEEP_SECONDS, Claim, Wait
from spigot.jobs.bucket.file import BucketFile
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.log_setup import set_up_logging
from spigot.runtime.settings import Settings
from spigot.runtime.stop_signals import StopRequested, StopSignals
from spigot.worker.rq.bucket_queues import Queues
from spigot.worker.rq.rq_side import RqSide
from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.horse_runner import HorseRunner

from .assembly import Assembly, RunnerClass
from .connections import MAIN_TIMEOUT, Connections
from .worker_start import WorkerStart, prepare_start

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")


class RateAwareWorker(RqSide):
    """Starts jobs of one bucket in its slots, over the whole fleet, and loses none.

    Run by ``spigot worker``, or by ``rq worker -w spigot.RateAwareWorker QUEUE…``.

    Args:
        queues: Queues of one bucket, most urgent first.
        name: Unique; None makes one up.
        connection: To the server. None, or the localhost that RQ's command takes when it is
            told nothing, gives way to the server that the settings name.
        settings: None reads the environment.
        catalog: None loads the modules that the settings name.
        buckets: The buckets' numbers; None reads the file that the settings name.
        **rq_options: Passed on to RQ's Worker; the serializer is always JSON.

    Raises:
        SystemExit: The queues belong to two buckets, a setting cannot be used, a module with job
            types cannot be loaded, or there is no server; the message says which.
    """

    runner_class: RunnerClass = HorseRunner
    """What runs the attempts."""

    begin_level = logging.INFO
    """Level of the line that it serves; one of many leaves that to whoever started them."""

    def __init__(
        self,
        queues: Queues,
        name: str | None = None,
        *,
        connection: Redis | None = None,
        settings: Settings | None = None,
        catalog: JobCatalog | None = None,
        buckets: BucketFile | None = None,
        **rq_options: Any,
    ) -> None:
        start = prepare_start(queues, connection, settings, catalog, buckets, MAIN_TIMEOUT)
        self._settings = start.settings
        self._bucket = start.bucket
        self._stop = StopSignals(on_second=self._leave_at_once)
        connections = Connections(start.connection, self._stop, start.settings)
        self._last_connection = connections.last
        rq_options |= {"serializer": JSONSerializer, "queue_class": Queue, "job_class": Job}
        super().__init__(start.queues, name, connection=connections.main, **rq_options)
        assembly = self._make_assembly(start, connections)
        self._parts = assembly.parts(self.runner_class, self.maintain)
        self.executor = self._parts.executor
        self.commands = self._parts.commands
        self.early_stops = assembly.early_stops

    def _make_assembly(self, start: WorkerStart, connections: Connections) -> Assembly:
        return Assembly(self, start, connections, self._stop)

    def work(
        self,
        burst: bool = False,
        logging_level: str | None = None,
        date_format: str = DEFAULT_LOGGING_DATE_FORMAT,
        log_format: str = DEFAULT_LOGGING_FORMAT,
        max_jobs: int | None = None,
        max_idle_time: int | None = None,
        with_scheduler: bool = False,
        dequeue_strategy: DequeueStrategy = DequeueStrategy.DEFAULT,
    ) -> bool:
        """Run jobs until told to stop; as RQ's, but an absent server does not end it.

        Args:
            burst: Stop once the queues are empty and nothing of the bucket runs any more.
            logging_level: As RQ's.
            date_format: Changes nothing: SPIGOT_LOG_FORMAT says how lines look.
            log_format: As date_format.
            max_jobs: Stop after so many.
            max_idle_time: Stop after so many seconds without a job.
            with_scheduler: Changes nothing: delayed jobs need no scheduler here.
            dequeue_strategy: Changes nothing: the most urgent queue goes first.

        Returns:
            Whether any job was run.

        Raises:
            SystemExit: Another worker has this one's name, or the server's user lacks rights.
        """
        if not logging.getLogger().handlers:  # run by RQ's command
            set_up_logging(self._settings.log_format)
        if logging_level:
            logging.getLogger("spigot.worker").setLevel(logging_level.upper())
        self._stop.install()
        self._begin()
        self._parts.claimer.asks_early = max_jobs is None
        done = 0
        try:
            while max_jobs is None or done < max_jobs:
                timeout = None if burst else round(SLEEP_SECONDS)
                claimed = self.dequeue_job_and_maintain_ttl(timeout, max_idle_time)
                if claimed is None:
                    break
                self.execute_job(*claimed)
                done += 1
        finally:
            self.teardown()
        return bool(done)

    def _begin(self) -> None:
        """Show up in the bucket and in RQ, as soon as there is a server."""
        if self._parts.presence.begin(self._listen):
            self._parts.start_threads()
            self._parts.primary_watch.start()
            log.log(self.begin_level, "worker %s serves bucket %s", self.name, self._bucket)

    def _listen(self) -> None:
        self._parts.primary_watch.connect()
        self.subscribe()

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """Claim the next job, waiting for it as long as need be.

        Args:
            timeout: None returns once the queues are empty.
            max_idle_time: Seconds after which to return without a job.

        Returns:
            None if there is nothing more to do.
        """
        try:
            return self._next_job(until_empty=timeout is None, max_idle_time=max_idle_time)
        except StopRequested:
            return None

    def _next_job(
        self, *, until_empty: bool, max_idle_time: int | None
    ) -> tuple[Job, Queue] | None:
        idle_since = time.monotonic()
        while not self._stop.requested:
            self._wait_for_place()
            answer = self._until_answered(self._parts.claimer.ask)
            if isinstance(answer, Claim):
                if job := self._accept(answer):
                    return job, self._queue_of(answer)
                continue
            if answer is None or (until_empty and self._is_empty(answer)):
                return None
            if max_idle_time is not None and time.monotonic() - idle_since >= max_idle_time:
                return None
            may_end = until_empty or max_idle_time is not None
            self._parts.idle_time.spend(answer, briefly=may_end)
        return None

    def _wait_for_place(self) -> None:
        """Wait until one more job may be claimed: here each has ended when the next is wanted."""

    def _accept(self, claim: Claim) -> ClaimedJob | None:
        """Return the job; one that cannot even be read has failed."""
        try:
            job = ClaimedJob.of(claim, self.connection)
        except Exception as error:
            self.early_stops.take(claim.job_id)
            self._parts.executor.refuse(claim, error)
            return None
        job.exception_handlers = self._exc_handlers
        job.on_horse_killed = self.handle_work_horse_killed
        return job

    def _queue_of(self, claim: Claim) -> Queue:
        """Return RQ's own: making another takes longer than reading the job."""
        return next(queue for queue in self.queues if queue.name == claim.queue)

    def _is_empty(self, answer: Wait) -> bool:
        """Whether nothing waits, and nothing runs that may come back."""
        return not answer.waiting and not self._until_answered(self._parts.leases.count)

    def _until_answered(self, call: Callable[[], Answer]) -> Answer | None:
        return self._parts.availability.retry_until_answered(
            call, give_up=lambda: self._stop.requested
        )

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a claimed job in its slot and end the attempt.

        Args:
            job: As ``dequeue_job_and_maintain_ttl`` returned it.
            queue: The queue that it left.
        """
        assert isinstance(job, ClaimedJob)
        self._parts.executor.execute(job)

    def teardown(self) -> None:
        """Leave the bucket and RQ's lists of workers; what fails runs out by itself."""
        self._parts.result_log.retry()
        self.connection = self._last_connection
        try:
            self._parts.sign_off()
            super().teardown()  # type: ignore[no-untyped-call]
        except RedisError as error:
            log.warning("worker %s could not sign off: %s", self.name, error)

    def _leave_at_once(self) -> None:
        """Obey a second signal, in its handler: the lease will bring the job back."""
        self.executor.runner.kill()
        os._exit(1)
