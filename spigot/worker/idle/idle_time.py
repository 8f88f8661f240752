"""What a worker does between two jobs: it waits for a wake-up and looks around."""

import math
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from spigot.jobs.bucket.leaky_bucket import SLEEP_SECONDS, LeakyBucket, Wait
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.leases.lease_answers import Reaped
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lost_jobs import LostJobs
from spigot.worker.leases.result_log import ResultLog
from spigot.worker.process.redis_availability import RedisAvailability
from spigot.worker.rq.registration import RqRegistration

from .plain_push_listener import PlainPushListener
from .wake_up_tokens import STEP_SECONDS, WakeUpTokens

REAP_SECONDS = 1.5
"""How often each poller reaps."""

REAPED_MS = 500
"""Least time between two reaps of a bucket by any worker. REAP_SECONDS + REAPED_MS must stay below
``LEAST_OUTAGE_MS``, or one skipped reap looks like an outage."""


class IdleTime:
    """The time until the bucket is to be asked again.

    Args:
        bucket: On a connection that a signal interrupts.
        worker: Name of the worker.
        leases: Of that bucket and connection.
        lost_jobs: Looked for from time to time, on that connection.
        wake_up: Wakes this worker.
        plain_pushes: Wakes a worker for jobs that plain RQ pushes.
        registration: This worker among those of RQ.
        result_log: Writes what it kept back while the disk was full.
        availability: Is told of errors.
        stop: Breaks into a wait.
        on_reaped: Finishes what dead workers left undone.
        maintain: Does RQ's own maintenance, when it is due.
    """

    def __init__(
        self,
        *,
        bucket: LeakyBucket,
        worker: str,
        leases: LeaseStore,
        lost_jobs: LostJobs,
        wake_up: WakeUpTokens,
        plain_pushes: PlainPushListener,
        registration: RqRegistration,
        result_log: ResultLog,
        availability: RedisAvailability,
        stop: StopSignals,
        on_reaped: Callable[[Reaped], None],
        maintain: Callable[[], None],
    ) -> None:
        self._bucket = bucket
        self._worker = worker
        self._leases = leases
        self._lost_jobs = lost_jobs
        self._wake_up = wake_up
        self._plain_pushes = plain_pushes
        self._registration = registration
        self._result_log = result_log
        self._availability = availability
        self._stop = stop
        self._on_reaped = on_reaped
        self._maintain = maintain
        self._reaped_at = 0.0
        self._more = False

    def spend(self, answer: Wait, *, briefly: bool = False) -> None:
        """Wait as the bucket answered, or for a wake-up; look around in between.

        Args:
            answer: Of the bucket.
            briefly: Whether the bucket is to be asked again soon, whatever it answered.

        Raises:
            StopRequested: The worker is to stop.
        """
        self._reaped_at = max(self._reaped_at, time.monotonic() - answer.reaped_ago)
        try:
            if answer.polling and not answer.waiting:
                self._plain_pushes.listen()
            if briefly or answer.exact or (answer.polling and answer.waiting):
                self._wait(min(answer.seconds, STEP_SECONDS) if briefly else answer.seconds, answer)
            else:
                self._watch(answer)
        except RedisError as error:
            self._availability.note_error(error)
            self._stop.wait(0.1)
        finally:
            self._wake_up.end()
            self._plain_pushes.stop_listening()

    def _wait(self, seconds: float, answer: Wait) -> None:
        """Wait until the bucket is to be asked again: jobs wait in it, or the worker soon ends."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self._look_around(answer)
            if self._more:
                return  # the next question tells the server what was done
            if self._wake_up.came_within(left, answer):
                return

    def _watch(self, answer: Wait) -> None:
        """Wait for a wake-up until the worker must give a sign of life; look once in a while.

        What a look finds is asked for at once, and so is what is only to be told: lines were
        written that could not be written before, or that tell of attempts which others ended. The
        wait for the wake-up goes on meanwhile: to begin it anew after each look would double what
        an idle bucket costs.
        """
        pause = self._leases.terms.sleep_seconds
        looks = 0 if answer.polling else SLEEP_SECONDS // pause
        ends_at = time.monotonic() + (looks * pause or SLEEP_SECONDS)
        look_at = time.monotonic() + (answer.seconds if answer.polling else pause)
        if self._more:
            self._reap()
        self._do_what_is_due(answer)
        if self._has_something_to_tell:
            return
        self._wake_up.begin(ends_at - time.monotonic(), answer)
        while not self._wake_up.is_over_within(self._step_to(look_at)):
            self._do_what_is_due(answer)
            if time.monotonic() >= look_at:
                seconds = self._look(answer)
                if seconds is None:
                    return
                look_at = time.monotonic() + seconds
                if look_at >= ends_at and not answer.polling:
                    look_at = math.inf
            if self._has_something_to_tell:
                return

    def _look(self, answer: Wait) -> float | None:
        """Look, and do what is found; return when to look again, or None to ask the bucket now."""
        look = self._bucket.look(self._worker, polling=answer.polling)
        self._registration.mend(look.rq_state)
        if look.must_reap:
            self._reap()
        if look.seconds is None or answer.polling:
            return look.seconds
        return self._leases.terms.sleep_seconds

    @property
    def _has_something_to_tell(self) -> bool:
        return self._more or self._result_log.has_news

    def _step_to(self, look_at: float) -> float:
        return max(0.0, min(look_at - time.monotonic(), STEP_SECONDS))

    def _look_around(self, answer: Wait) -> None:
        """Do what a look at the bucket would tell, and what is due.

        Raises:
            StopRequested: It was not done; others will.
        """
        try:
            self._registration.stay()
            if answer.polling and self._must_reap():
                self._reap()
            self._do_what_is_due(answer)
        except RedisError as error:
            self._availability.note_error(error)

    def _do_what_is_due(self, answer: Wait) -> None:
        self._result_log.retry()
        if answer.polling and (found := self._lost_jobs.look()):
            self._on_reaped(found)
        self._maintain()

    def _must_reap(self) -> bool:
        return self._more or time.monotonic() - self._reaped_at >= REAP_SECONDS

    def _reap(self) -> None:
        fresh_ms = 0 if self._more else REAPED_MS
        self._more, self._reaped_at = False, time.monotonic()
        found = self._leases.reap(fresh_ms=fresh_ms)
        self._on_reaped(found)
        self._more = found.more
