"""Puts a worker together that runs many jobs at once."""

from rq import Worker

from spigot.runtime.stop_signals import StopSignals
from spigot.worker.idle.claimer import Claimer
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.pool.child import PoolPlan
from spigot.worker.pool.children import Children
from spigot.worker.pool.flights import Flights
from spigot.worker.pool.lonely_jobs import LonelyJobs
from spigot.worker.pool.pool_executor import PoolExecutor
from spigot.worker.pool.suspicion import most_alone

from .assembly import Assembly, RunnerClass
from .connections import Connections
from .worker_start import WorkerStart


class PoolAssembly(Assembly):
    """Makes the same parts, with a pool in place of the executor of one job.

    Args:
        worker: As ``Assembly`` takes it, like the next three.
        start: What the worker was told.
        connections: To the server.
        stop: What signals said.
        concurrency: How many jobs run at once, >= 1.
    """

    def __init__(
        self,
        worker: Worker,
        start: WorkerStart,
        connections: Connections,
        stop: StopSignals,
        concurrency: int,
    ) -> None:
        super().__init__(worker, start, connections, stop)
        self.concurrency = concurrency
        self._flights = Flights(concurrency)
        self._hold_news.share()  # the first child is forked before there is a connection

    def _free_places(self) -> int:
        return self._flights.free_places

    def _make_executor(
        self,
        runner_class: RunnerClass,
        leases: LeaseStore,
        last_leases: LeaseStore,
        claimer: Claimer,
    ) -> PoolExecutor:
        # no asker: a pool ends jobs in other threads than it claims them
        executor = self._make_lone_executor(runner_class, leases, last_leases, asker=None)
        tools, most = self._runner_tools(), most_alone(self.concurrency)
        return PoolExecutor(
            executor,
            self._make_children(),
            LonelyJobs(executor, tools, leases, most),
            self._renewer,
            self._stop,
            self._settings.grace_seconds,
            self._flights,
            self.early_stops,
        )

    def _make_children(self) -> Children:
        plan = PoolPlan(
            self._start.catalog,
            self._connections.main,
            self._worker._exc_handlers,
            self._worker.name,
            self._hold_news,
        )
        return Children(
            plan,
            self.concurrency,
            self._renewer,
            self._settings.lease_seconds,
            self._flights.name_of,
        )
