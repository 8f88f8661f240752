"""The rate-aware worker that runs many jobs at once."""

from contextlib import suppress
from typing import Any

from redis.exceptions import RedisError
from rq import Queue
from rq.job import Job

from spigot.worker.pool.pool_executor import PoolExecutor
from spigot.worker.running.claimed_job import ClaimedJob

from .assembly import Assembly
from .connections import Connections
from .pool_assembly import PoolAssembly
from .rate_aware_worker import RateAwareWorker
from .worker_start import WorkerStart

DEFAULT_CONCURRENCY = 10
"""Where neither the command nor ``buckets.json`` says how many."""


class RateAwarePoolWorker(RateAwareWorker):
    """Runs up to ``concurrency`` jobs at once in one process beside its own.

    For jobs that wait: for an AI, a mail server, a partner. Coroutine functions share an event
    loop, and plain ones have a thread each. This process claims them, renews their leases and
    writes their outcomes; its child runs the functions, so that nothing a function does to its
    process takes a lease or the pace along. ``docs/pool-worker.md`` tells it all.

    Args:
        *args: As those of ``RateAwareWorker``.
        concurrency: How many jobs run at once, >= 1; None takes what ``buckets.json`` says.
        **options: As those of ``RateAwareWorker``.
    """

    def __init__(self, *args: Any, concurrency: int | None = None, **options: Any) -> None:
        self._asked_concurrency = concurrency
        super().__init__(*args, **options)

    def _make_assembly(self, start: WorkerStart, connections: Connections) -> Assembly:
        stated = start.buckets[start.bucket].concurrency
        concurrency = self._asked_concurrency or stated or DEFAULT_CONCURRENCY
        return PoolAssembly(self, start, connections, self._stop, concurrency)

    @property
    def _pool(self) -> PoolExecutor:
        assert isinstance(self.executor, PoolExecutor)
        return self.executor

    def _begin(self) -> None:
        self._pool.start()
        super()._begin()

    def _wait_for_place(self) -> None:
        # those of jobs in hand were counted when the bucket was asked for them
        if not (self._parts.claimer.has_claims and self._pool.has_process):
            self._pool.wait_for_place()

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Have a claimed job run in its slot; returns at once."""
        assert isinstance(job, ClaimedJob)
        self._pool.execute(job, more_follow=self._parts.claimer.has_claims)

    def teardown(self) -> None:
        """Give back what is in no hand, let what runs come to its end, and leave as the others do.

        What runs may take longer than a lease stands, and nobody renews those of the others.
        """
        self._pool.send()
        with suppress(RedisError):  # it is tried again when the worker leaves
            self._parts.give_back()
        self._pool.drain()
        super().teardown()
