"""Writes what came of attempts, many of them by one round trip."""

import logging
import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from queue import SimpleQueue

from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.executor import Executor
from spigot.worker.running.outcome import Outcome

from .flights import Flights

log = logging.getLogger(__name__)

ENDED_AT_ONCE = 64
"""Outcomes that one round trip writes at most."""


class Endings:
    """Ends attempts by their outcomes; safe from any thread.

    Args:
        executor: Ends attempts.
        flights: Are told which are being written.
        on_refusal: Called when a refusal by the downstream was written: the bucket is held.
    """

    def __init__(
        self, executor: Executor, flights: Flights, on_refusal: Callable[[], object]
    ) -> None:
        self._executor = executor
        self._flights = flights
        self._on_refusal = on_refusal
        self._ended: SimpleQueue[tuple[ClaimedJob, Outcome]] = SimpleQueue()

    def start(self) -> None:
        """Start the thread that writes them."""
        threading.Thread(target=self._keep_writing, name="endings", daemon=True).start()

    def add(self, ends: Collection[tuple[ClaimedJob, Outcome]]) -> None:
        """Have attempts of jobs end; does not wait for it."""
        self._flights.note_ended(len(ends))
        for job, ended in ends:
            if job.webhooks or job._stopped_callback_name:  # foreign code, which takes its time
                threading.Thread(target=self._write_alone, args=(job, ended), daemon=True).start()
            else:
                self._ended.put((job, ended))

    def _keep_writing(self) -> None:
        while True:
            told = [self._ended.get()]
            while len(told) < ENDED_AT_ONCE and not self._ended.empty():
                told.append(self._ended.get())
            self._write(told, partial(self._executor.finish_all, told))

    def _write_alone(self, job: ClaimedJob, ended: Outcome) -> None:
        self._write([(job, ended)], partial(self._executor.finish, job, ended))

    def _write(self, told: Sequence[tuple[ClaimedJob, Outcome]], write: Callable[[], None]) -> None:
        try:
            write()
        except Exception:
            ids = ", ".join(job.id for job, _ in told)
            log.exception("jobs whose leases will bring them back: %s", ids)
        finally:
            if any(ended.status == "rate_limited" for _, ended in told):
                self._on_refusal()
            self._flights.note_written(len(told))
