"""The rate-aware worker: RQ's Worker, with Spigot's bucket in front and its leases behind.

A job's life here, step by step:

1. ``dequeue_job_and_maintain_ttl`` has the ``Claimer`` claim it from the bucket, a little ahead
   of its slot. From this moment a lease says that it runs here. Until there is a job to claim,
   ``IdleTime`` waits for a wake-up.
2. ``execute_job`` has a work horse run the function in its slot (``HorseRunner``), while the
   lease renewer's thread renews the lease.
3. ``settle`` ends the attempt according to what the horse told: the job is finished or
   failed, or goes back to the bucket. The same script removes the lease.
4. The line for the result log comes back from that script and is appended to the file.
5. Jobs that wait for this one are released, and its webhooks are sent.

If this process dies in between, the lease runs out and another worker's reaper puts the job
back at the head of its queue. ``docs/nothing-lost.md`` tells it all.
"""

import logging
import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from redis import Redis
from redis.client import Pipeline
from redis.exceptions import RedisError
from rq import Queue, Worker, worker_registration
from rq.defaults import DEFAULT_LOGGING_DATE_FORMAT, DEFAULT_LOGGING_FORMAT
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.worker import DequeueStrategy, WorkerStatus

from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.bucket.file import BucketFile
from spigot.jobs.bucket.leaky_bucket import ALIVE_SECONDS, SLEEP_SECONDS, Claim, LeakyBucket, Wait
from spigot.jobs.store import keys
from spigot.jobs.store.primary_watch import PrimaryWatch
from spigot.jobs.store.server_rights import RightsError, check_rights
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.log_setup import set_up_logging
from spigot.runtime.server.redis_connection import sibling
from spigot.runtime.settings import Settings
from spigot.worker.idle.claimer import Claimer
from spigot.worker.idle.idle_time import IdleTime
from spigot.worker.idle.plain_push_listener import LOOK_SECONDS, PlainPushListener
from spigot.worker.idle.wake_up_tokens import STEP_SECONDS, WakeUpTokens
from spigot.worker.leases.lease_renewer import LeaseRenewer
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms
from spigot.worker.leases.result_log import ResultLog
from spigot.worker.process.interruptible_redis import interruptible
from spigot.worker.process.redis_availability import RedisAvailability
from spigot.worker.process.stop_signals import StopRequested, StopSignals
from spigot.worker.rq.bucket_queues import Queues
from spigot.worker.rq.command_channel import CommandChannel
from spigot.worker.rq.registration import NameTakenError, RqRegistration
from spigot.worker.running.executor import Executor
from spigot.worker.running.function_call import ClaimedJob
from spigot.worker.running.horse_runner import HorseRunner, Runner
from spigot.worker.running.rq_callbacks import RqCallbacks

from .assembly import prepare_start

log = logging.getLogger(__name__)

MAIN_TIMEOUT = 3.0
"""Seconds that the server may take to answer before it counts as away."""

LAST_TIMEOUT = 0.5
"""The same while the worker stops: it must end in time, whatever the server does."""

RQ_TTL = round(ALIVE_SECONDS) + 20
"""Seconds after its last sign of life until RQ forgets a worker."""


class RateAwareWorker(Worker):
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

    runner_class: Callable[..., Runner] = HorseRunner
    """What runs the attempts."""

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
        self._settings, self._catalog, self._buckets = start.settings, start.catalog, start.buckets
        connection = start.connection
        rq_options |= {"serializer": JSONSerializer, "queue_class": Queue, "job_class": Job}
        super().__init__(
            start.queues, name, connection=sibling(connection, timeout=MAIN_TIMEOUT), **rq_options
        )
        self._stop = StopSignals(on_second=self._leave_at_once)
        self._availability = RedisAvailability(self._stop)
        idle = interruptible(connection, self._stop, timeout=MAIN_TIMEOUT)
        self._bucket = LeakyBucket(idle, start.bucket, start.queues)
        self._leases = self._leases_on(self.connection)
        self._registration = RqRegistration(self, idle, RQ_TTL)
        self._last_words = sibling(connection, timeout=LAST_TIMEOUT)
        self._last_leases = self._leases_on(self._last_words)
        self._result_log = ResultLog(
            self._settings.result_log_path, self._settings.result_log_max_bytes
        )
        self._renewer = self._make_renewer(connection)
        push_redis = sibling(connection, timeout=LOOK_SECONDS + MAIN_TIMEOUT)
        self._plain_pushes = PlainPushListener(push_redis, start.bucket, start.queues)
        self._executor = self._make_executor()
        self._claimer = self._make_claimer()
        self._idle_time = self._make_idle_time(idle, connection)
        # while it is idle, it is told at once: its wait for a wake-up ends
        self._primary_watch = PrimaryWatch(connection, lambda: bool(self._executor.running))
        self._commands = CommandChannel(
            sibling(connection, timeout=MAIN_TIMEOUT), self.pubsub_channel_name, self.handle_payload
        )

    # The loop

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
        try:
            for step in (partial(check_rights, self.connection), self._show_up, self.subscribe):
                if not self._stop.requested:
                    self._availability.retry_until_answered(
                        step, give_up=lambda: self._stop.requested
                    )
        except (NameTakenError, RightsError) as error:
            raise SystemExit(str(error)) from error
        except StopRequested:
            return
        self._renewer.start()
        self._plain_pushes.start()
        self._primary_watch.start()
        file_redis = sibling(self.connection, timeout=MAIN_TIMEOUT)
        self._buckets.follow_from_a_thread(file_redis, [self._bucket.name])
        log.info("worker %s serves bucket %s", self.name, self._bucket.name)

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
            answer = self._availability.retry_until_answered(
                self._claimer.ask, give_up=lambda: self._stop.requested
            )
            if isinstance(answer, Claim):
                if job := self._accept(answer):
                    return job, self._queue_of(answer)
                continue
            if answer is None or (until_empty and self._is_empty(answer)):
                return None
            if max_idle_time is not None and time.monotonic() - idle_since >= max_idle_time:
                return None
            may_end = until_empty or max_idle_time is not None
            self._idle_time.spend(self._first_step(answer) if may_end else answer)
        return None

    def _accept(self, claim: Claim) -> ClaimedJob | None:
        """Return the job; one that cannot even be read has failed."""
        try:
            job = ClaimedJob.of(claim, self.connection)
        except Exception as error:
            self._executor.refuse(claim, error)
            return None
        job.exception_handlers = self._exc_handlers
        job.on_horse_killed = self.handle_work_horse_killed
        return job

    def _queue_of(self, claim: Claim) -> Queue:
        return Queue(claim.queue, connection=self.connection, serializer=JSONSerializer)

    def _is_empty(self, answer: Wait) -> bool:
        """Whether nothing waits, and nothing runs that may come back."""
        leases = keys.leases(self._bucket.name)
        return not answer.waiting and not self._availability.retry_until_answered(
            lambda: self.connection.zcard(leases), give_up=lambda: self._stop.requested
        )

    def _maintain(self) -> None:
        if self.should_run_maintenance_tasks:
            self.run_maintenance_tasks()  # type: ignore[no-untyped-call]

    @staticmethod
    def _first_step(answer: Wait) -> Wait:
        """Return a wait that is soon over, so that the bucket is asked again."""
        return replace(answer, seconds=min(answer.seconds, STEP_SECONDS))

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run a claimed job in its slot and end the attempt.

        Args:
            job: As ``dequeue_job_and_maintain_ttl`` returned it.
            queue: The queue that it left.
        """
        assert isinstance(job, ClaimedJob)
        self._executor.execute(job)

    # What RQ's Worker does otherwise

    def _set_ip_address(self, connection: Redis) -> None:
        """RQ would ask the server, which may be away while a worker is built."""
        self.ip_address = "unknown"

    @property
    def connection_timeout(self) -> int:
        """RQ would raise the socket's time-out to minutes; ours notices a server that hangs."""
        return 0

    def get_state(self) -> str:
        """Return what RQ's record of this worker says of it."""
        return WorkerStatus.BUSY if self._executor.running else WorkerStatus.IDLE

    def get_current_job_id(self, pipeline: Pipeline | None = None) -> str | None:
        """Return the running job, which RQ's command to stop it must name."""
        running = self._executor.running
        return running.id if running else None

    def kill_horse(self, sig: signal.Signals = signal.SIGKILL) -> None:
        """End the running attempt, as RQ's commands ask for; called from their thread."""
        stopped_job_id, self._stopped_job_id = self._stopped_job_id, None
        if stopped_job_id is None:
            self._executor.runner.kill()
        else:
            self._executor.runner.cancel(stopped_job_id)

    @property
    def horse_pid(self) -> int:
        """Process that runs the present attempt; 0 for none."""
        return self._executor.runner.pid

    def clean_registries(self) -> None:
        """Forget dead workers. RQ's clean-up of jobs fails some that run: the reaper does it."""
        for queue in self.queues:
            worker_registration.clean_worker_registry(queue)
        self.last_cleaned_at = datetime.now(UTC)  # type: ignore[assignment]

    def subscribe(self) -> None:
        """Listen to RQ's commands, also when the server was away meanwhile."""
        self._commands.open()

    def unsubscribe(self) -> None:
        """Listen to RQ's commands no more."""
        self._commands.close(LAST_TIMEOUT)

    def teardown(self) -> None:
        """Leave the bucket and RQ's lists of workers; what fails runs out by itself."""
        self._result_log.retry()
        self.connection = self._last_words
        try:
            bucket = LeakyBucket(self._last_words, self._bucket.name)
            self._claimer.sign_off(bucket, self._last_leases)
            super().teardown()  # type: ignore[no-untyped-call]
        except RedisError as error:
            log.warning("worker %s could not sign off: %s", self.name, error)

    def _leave_at_once(self) -> None:
        """Obey a second signal, in its handler: the lease will bring the job back."""
        self._executor.runner.kill()
        os._exit(1)

    # Settings

    @property
    def _lease_ms(self) -> int:
        return round(self._settings.lease_seconds * 1000)

    def _leases_on(self, redis: Redis) -> LeaseStore:
        terms = LeaseTerms(
            lease_ms=self._lease_ms,
            max_reaps=self._settings.max_reaps,
            keep_seconds=self._settings.keep_seconds,
            max_refusals=self._settings.max_refusals,
        )
        return LeaseStore(redis, self._bucket.name, self.name, terms)

    def _make_renewer(self, connection: Redis) -> LeaseRenewer:
        lease_seconds = self._settings.lease_seconds
        leases = self._leases_on(sibling(connection, timeout=min(2.0, lease_seconds / 4)))
        return LeaseRenewer(
            leases,
            self._availability,
            lease_seconds=lease_seconds,
            rq_ttl=RQ_TTL,
            on_reaped=lambda found: self._executor.take_over(found, leases),
        )

    def _make_executor(self) -> Executor:
        stop, grace_seconds = self._stop, self._settings.grace_seconds
        runner = self.runner_class(
            catalog=self._catalog,
            renewer=self._renewer,
            stop=stop,
            grace_seconds=grace_seconds,
            death_penalty=self.death_penalty_class,
        )
        return Executor(
            runner=runner,
            renewer=self._renewer,
            leases=self._leases,
            last_leases=self._last_leases,
            catalog=self._catalog,
            result_log=self._result_log,
            rq_callbacks=RqCallbacks(stop, grace_seconds, self.death_penalty_class),
            availability=self._availability,
            stop=stop,
            grace_seconds=grace_seconds,
        )

    def _make_claimer(self) -> Claimer:
        return Claimer(
            self._bucket,
            self.name,
            lease_ms=self._lease_ms,
            rq_ttl=RQ_TTL,
            result_log=self._result_log,
            restore=self._show_up,
        )

    def _make_idle_time(self, idle: Redis, connection: Redis) -> IdleTime:
        bell_redis = interruptible(connection, self._stop, timeout=SLEEP_SECONDS + MAIN_TIMEOUT)
        return IdleTime(
            bucket=self._bucket,
            leases=self._leases_on(idle),
            wake_up=WakeUpTokens(bell_redis, self._bucket.name, self._stop),
            plain_pushes=self._plain_pushes,
            registration=self._registration,
            result_log=self._result_log,
            availability=self._availability,
            stop=self._stop,
            on_reaped=lambda found: self._executor.take_over(found, self._leases),
            maintain=self._maintain,
        )

    def _show_up(self) -> None:
        self._publish_bucket()
        self._registration.write()

    def _publish_bucket(self) -> None:
        try:
            self._buckets.publish(self.connection, [self._bucket.name])
        except NewerBucketError as error:
            raise SystemExit(str(error)) from error
