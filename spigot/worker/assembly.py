"""Puts a worker together from its parts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from redis import Redis
from rq import Worker

from spigot.jobs.bucket.leaky_bucket import ALIVE_SECONDS, LeakyBucket
from spigot.jobs.store.primary_watch import PrimaryWatch
from spigot.jobs.store.replica_wait import ReplicaWait, wait_from
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.idle.claim_horizon import ClaimHorizon
from spigot.worker.idle.claimer import Claimer
from spigot.worker.idle.idle_time import IdleTime
from spigot.worker.idle.plain_job_warning import PlainJobWarning
from spigot.worker.idle.plain_push_listener import PlainPushListener
from spigot.worker.idle.reaping import Reaping
from spigot.worker.idle.wake_up_tokens import WakeUpTokens
from spigot.worker.leases.asking_leases import Asker
from spigot.worker.leases.lease_renewer import LeaseRenewer
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms
from spigot.worker.leases.lost_jobs import LostJobs
from spigot.worker.leases.result_log import ResultLog
from spigot.worker.leases.takeover import take_over
from spigot.worker.process.redis_availability import RedisAvailability
from spigot.worker.rq.command_channel import CommandChannel
from spigot.worker.rq.registration import RqRegistration
from spigot.worker.running.early_stops import EarlyStops
from spigot.worker.running.executor import Executor
from spigot.worker.running.hold_news import HoldNews
from spigot.worker.running.rq_callbacks import RqCallbacks
from spigot.worker.running.runner import Runner, RunnerTools, RunsJobs

from .connections import LAST_TIMEOUT, Connections
from .presence import Presence
from .worker_start import WorkerStart

RunnerClass = Callable[[RunnerTools], Runner]

RQ_TTL = round(ALIVE_SECONDS) + 20
"""Seconds after its last sign of life until RQ forgets a worker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the loop of a worker calls.

    Attributes:
        availability: Whether the server answers.
        presence: Shows the worker up.
        claimer: Claims one job after the other.
        idle_time: Is spent until there is a job to claim.
        executor: Runs what was claimed.
        leases: Of the bucket.
        result_log: Of this machine.
        commands: Of RQ to this worker.
        primary_watch: Looks for another primary; is to connect before whoever only listens.
        start_threads: Starts what runs beside the loop.
        give_back: Gives back what was claimed and is in no hand.
        sign_off: Does so too and leaves the bucket; both on a connection with little patience.
    """

    availability: RedisAvailability
    presence: Presence
    claimer: Claimer
    idle_time: IdleTime
    executor: RunsJobs
    leases: LeaseStore
    result_log: ResultLog
    commands: CommandChannel
    primary_watch: PrimaryWatch
    start_threads: Callable[[], None]
    give_back: Callable[[], None]
    sign_off: Callable[[], None]


class Assembly:
    """Makes the parts of a worker that runs one job at a time.

    Those that several others need are made first.

    Args:
        worker: RQ's side of it.
        start: What the worker was told.
        connections: To the server.
        stop: What signals said.

    Attributes:
        early_stops: Commands that come before their job is in hand.
    """

    concurrency = 1
    """How many jobs the worker runs at once."""

    def __init__(
        self, worker: Worker, start: WorkerStart, connections: Connections, stop: StopSignals
    ) -> None:
        self._worker = worker
        self._start = start
        self._settings = start.settings
        self._connections = connections
        self._stop = stop
        self._hold_news = HoldNews(start.bucket)
        self.early_stops = EarlyStops()
        self._horizon = ClaimHorizon()
        self._terms = LeaseTerms(
            lease_ms=round(start.settings.lease_seconds * 1000),
            max_reaps=start.settings.max_reaps,
            keep_seconds=start.settings.keep_seconds,
            max_refusals=start.settings.max_refusals,
        )
        self._bucket = LeakyBucket(connections.claims, start.bucket, start.queues)
        self._availability = RedisAvailability(stop)
        self._registration = RqRegistration(worker, connections.claims, RQ_TTL)
        self._result_log = ResultLog(
            start.settings.result_log_path, start.settings.result_log_max_bytes
        )
        self._renewer = self._make_renewer()
        self._plain_pushes = PlainPushListener(connections.pushes, start.bucket, start.queues)

    def parts(self, runner_class: RunnerClass, maintain: Callable[[], None]) -> Parts:
        """Return the parts.

        Args:
            runner_class: What runs the attempts.
            maintain: Does RQ's own maintenance, when it is due.
        """
        connections = self._connections
        wait = wait_from(self._settings)
        leases = self._leases_on(connections.main, wait)
        last_leases = self._leases_on(connections.last)  # it must stop in time: no wait
        presence = Presence(
            connections.main,
            self._start.bucket,
            self._start.buckets,
            self._registration,
            self._availability,
            self._stop,
            waits=wait is not None,
        )
        claimer = self._make_claimer(presence)
        executor = self._make_executor(runner_class, leases, last_leases, claimer)
        last_bucket = LeakyBucket(connections.last, self._start.bucket)
        return Parts(
            availability=self._availability,
            presence=presence,
            claimer=claimer,
            idle_time=self._make_idle_time(leases, maintain),
            executor=executor,
            leases=leases,
            result_log=self._result_log,
            commands=self._make_command_channel(),
            primary_watch=self._make_primary_watch(executor),
            start_threads=self._start_threads,
            give_back=partial(claimer.give_back, last_leases),
            sign_off=partial(claimer.sign_off, last_bucket, last_leases),
        )

    def _leases_on(self, redis: Redis, wait: ReplicaWait | None = None) -> LeaseStore:
        return LeaseStore(redis, self._start.bucket, self._worker.name, self._terms, wait)

    def _lost_jobs_on(self, redis: Redis) -> LostJobs:
        return LostJobs(redis, self._worker.name, self._terms)

    def _make_renewer(self) -> LeaseRenewer:
        leases = self._leases_on(self._connections.renewals)
        return LeaseRenewer(
            leases,
            self._lost_jobs_on(self._connections.renewals),
            self._availability,
            lease_seconds=self._settings.lease_seconds,
            rq_ttl=RQ_TTL,
            on_reaped=partial(take_over, leases, self._result_log),
        )

    def _make_executor(
        self,
        runner_class: RunnerClass,
        leases: LeaseStore,
        last_leases: LeaseStore,
        claimer: Claimer,
    ) -> RunsJobs:
        return self._make_lone_executor(runner_class, leases, last_leases, claimer)

    def _free_places(self) -> int:
        """Return how many jobs may be claimed: each has ended when the next is wanted."""
        return 1

    def _make_lone_executor(
        self,
        runner_class: RunnerClass,
        leases: LeaseStore,
        last_leases: LeaseStore,
        asker: Asker | None,
    ) -> Executor:
        stop, grace_seconds = self._stop, self._settings.grace_seconds
        death_penalty = self._worker.death_penalty_class
        return Executor(
            runner=runner_class(self._runner_tools()),
            renewer=self._renewer,
            leases=leases,
            last_leases=last_leases,
            catalog=self._start.catalog,
            result_log=self._result_log,
            rq_callbacks=RqCallbacks(stop, grace_seconds, death_penalty),
            availability=self._availability,
            stop=stop,
            grace_seconds=grace_seconds,
            on_start=self._horizon.note_start,
            asker=asker,
        )

    def _runner_tools(self) -> RunnerTools:
        return RunnerTools(
            catalog=self._start.catalog,
            renewer=self._renewer,
            stop=self._stop,
            grace_seconds=self._settings.grace_seconds,
            death_penalty=self._worker.death_penalty_class,
            hold_news=self._hold_news,
            early_stops=self.early_stops,
        )

    def _make_claimer(self, presence: Presence) -> Claimer:
        return Claimer(
            self._bucket,
            self._worker.name,
            lease_ms=self._terms.lease_ms,
            rq_ttl=RQ_TTL,
            concurrency=self.concurrency,
            result_log=self._result_log,
            restore=presence.show_up,
            on_claim=PlainJobWarning(self._start.bucket, self._start.buckets).look_at,
            horizon=self._horizon,
            places=self._free_places,
            early_stops=self.early_stops,
        )

    def _make_idle_time(self, leases: LeaseStore, maintain: Callable[[], None]) -> IdleTime:
        return IdleTime(
            bucket=self._bucket,
            worker=self._worker.name,
            sleep_seconds=self._terms.sleep_seconds,
            reaping=self._make_reaping(leases),
            wake_up=WakeUpTokens(self._connections.wake_ups, self._start.bucket, self._stop),
            plain_pushes=self._plain_pushes,
            registration=self._registration,
            result_log=self._result_log,
            availability=self._availability,
            stop=self._stop,
            maintain=maintain,
        )

    def _make_reaping(self, leases: LeaseStore) -> Reaping:
        """Have a signal end a look around, but not what others' dead workers left half done."""
        redis = self._connections.claims
        on_found = partial(take_over, leases, self._result_log)
        return Reaping(self._leases_on(redis), self._lost_jobs_on(redis), on_found)

    def _make_command_channel(self) -> CommandChannel:
        worker = self._worker
        return CommandChannel(
            self._connections.commands,
            worker.pubsub_channel_name,
            worker.handle_payload,
            LAST_TIMEOUT,
            self._hold_news,
        )

    def _make_primary_watch(self, executor: RunsJobs) -> PrimaryWatch:
        # while it is idle, it is told at once: its wait for the wake-up ends
        return PrimaryWatch(self._start.connection, lambda: bool(executor.running))

    def _start_threads(self) -> None:
        self._renewer.start()
        self._plain_pushes.start()
        self._start.buckets.follow_from_a_thread(
            self._connections.bucket_file, [self._start.bucket]
        )
