"""The rate-aware worker that runs many jobs at once."""

from typing import Any

from spigot.worker.pool.pool_executor import PoolExecutor

from .assembly import Assembly, Parts
from .rate_aware_worker import RateAwareWorker

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

    def _make_parts(self, assembly: Assembly) -> Parts:
        stated = assembly.start.buckets[self._bucket].concurrency
        concurrency = self._asked_concurrency or stated or DEFAULT_CONCURRENCY
        parts = assembly.pool_parts(concurrency, self.maintain)
        assert isinstance(parts.executor, PoolExecutor)
        self._pool = parts.executor
        return parts

    def _begin(self) -> None:
        self._pool.start()
        super()._begin()

    def _wait_for_place(self) -> None:
        self._pool.wait_for_place()

    def teardown(self) -> None:
        """Let what runs come to its end, and then leave as the others do."""
        self._pool.drain()
        super().teardown()
