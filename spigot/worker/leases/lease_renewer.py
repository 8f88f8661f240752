"""Renews the leases of a worker's running attempts from a thread, and reaps those of others."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from redis.exceptions import RedisError

from spigot.worker.process.redis_availability import RETRY_SECONDS, RedisAvailability

from .lease_answers import Reaped
from .lease_store import LeaseStore
from .lost_jobs import LostJobs

log = logging.getLogger(__name__)

IDLE_SECONDS = 0.25
"""How long after the end of a job a worker that has no other one counts as idle."""


def _nothing() -> None:
    pass


@dataclass(slots=True)
class _Held:
    """An attempt that runs here.

    Attributes:
        lose: Stops the attempt; called at most once. None if nothing runs any more.
        cancel: Stops the attempt because its job was cancelled; called from the thread.
        renewed_at: Monotonic seconds at which the last renewal that succeeded was sent.
    """

    lose: Callable[[], None] | None
    cancel: Callable[[], None]
    renewed_at: float = field(default_factory=time.monotonic)


class LeaseRenewer:
    """Keeps leases while attempts run; without any it sleeps.

    An attempt whose lease is gone, or could not be renewed for a whole lease time, is stopped:
    by then it may have been given to somebody else.

    Args:
        leases: On a connection that only this thread uses.
        lost_jobs: Looked for after leases were renewed, on the same connection.
        availability: Is told whether the server answers.
        lease_seconds: How long a lease stands without renewal.
        rq_ttl: Seconds until RQ forgets the worker.
        on_reaped: What to do with what was found; called from the thread.
    """

    def __init__(
        self,
        leases: LeaseStore,
        lost_jobs: LostJobs,
        availability: RedisAvailability,
        *,
        lease_seconds: float,
        rq_ttl: int,
        on_reaped: Callable[[Reaped], None],
    ) -> None:
        self._leases = leases
        self._lost_jobs = lost_jobs
        self._availability = availability
        self._lease_seconds = lease_seconds
        self._rq_ttl = rq_ttl
        self._on_reaped = on_reaped
        self._held: dict[str, _Held] = {}
        self._released_at = 0.0
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="lease-renewer", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def keep(
        self,
        token: str,
        lose: Callable[[], None] | None = None,
        cancel: Callable[[], None] = _nothing,
    ) -> None:
        """Renew the lease of an attempt from now on.

        Args:
            token: Of the attempt.
            lose: Stops it when the lease is lost; called from any thread. None if it has ended
                and only its outcome is still to be written, which nobody need be kept from.
            cancel: Stops it; called from the thread, more than once, when the job is cancelled.
                The worker was told before, but what tells it may be lost with a connection.
        """
        with self._changed:
            self._held[token] = _Held(lose, cancel)
            self._changed.notify()

    def keep_ended(self, tokens: Iterable[str]) -> None:
        """Renew the leases of attempts that have ended, until their outcomes are written."""
        with self._changed:
            for token in tokens:
                self._held[token] = _Held(None, _nothing)
            self._changed.notify()

    def release(self, *tokens: str) -> None:
        """Stop renewing leases."""
        with self._changed:
            for token in tokens:
                self._held.pop(token, None)
            self._released_at = time.monotonic()

    def expire(self) -> None:
        """Stop the attempts whose lease could not be renewed for a whole lease time.

        The thread does so too, but later if the server hangs and it waits for its answer.
        """
        latest = time.monotonic() - self._lease_seconds
        with self._changed:
            overdue = {
                token
                for token, held in self._held.items()
                if held.lose is not None and held.renewed_at < latest
            }
        self._lose(overdue, "could not be renewed in time")

    def _run(self) -> None:
        pause = self._leases.terms.tick_seconds
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._held))
            time.sleep(pause)
            if self._is_idle():
                continue
            try:
                self._tick()
                pause = self._leases.terms.tick_seconds
            except RedisError as error:
                self._availability.note_error(error)
                pause = min(RETRY_SECONDS, self._leases.terms.tick_seconds)
            except Exception:
                log.exception("leases were perhaps not renewed")  # but must be, the next time
            self.expire()

    def _is_idle(self) -> bool:
        """Return whether the worker waits for a job, and others watch over leases.

        Or each job would cost a tick of one more worker, the more workers there are.
        """
        with self._changed:
            return not self._held and time.monotonic() - self._released_at > IDLE_SECONDS

    def _tick(self) -> None:
        with self._changed:
            tokens = list(self._held)
        sent_at = time.monotonic()
        renewed = self._leases.renew(tokens, self._rq_ttl)
        self._note_renewal(set(tokens) - renewed.lost, sent_at)
        self._lose(renewed.lost, "was given to another worker")
        self._cancel(renewed.cancelled)
        self._availability.note_answer()
        self._on_reaped(self._leases.reap())
        if found := self._lost_jobs.look():
            self._on_reaped(found)

    def _note_renewal(self, tokens: set[str], sent_at: float) -> None:
        with self._changed:
            for token in tokens & self._held.keys():
                self._held[token].renewed_at = sent_at

    def _lose(self, tokens: set[str], why: str) -> None:
        for token in tokens:
            with self._changed:
                held = self._held.pop(token, None)
            if held is not None and held.lose is not None:
                log.warning("attempt %s is stopped: its lease %s", token, why)
                held.lose()

    def _cancel(self, tokens: set[str]) -> None:
        with self._changed:
            cancels = [held.cancel for token, held in self._held.items() if token in tokens]
        for cancel in cancels:
            cancel()
