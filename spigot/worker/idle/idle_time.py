"""What a worker does between two jobs: it waits for a wake-up and looks around."""

import math
import time
from collections.abc import Callable

from redis.exceptions import RedisError

from spigot.jobs.bucket.claim_answers import SLEEP_SECONDS, Wait
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.leases.result_log import ResultLog
from spigot.worker.process.redis_availability import RedisAvailability
from spigot.worker.rq.registration import RqRegistration

from .plain_push_listener import PlainPushListener
from .reaping import Reaping
from .wake_up_tokens import STEP_SECONDS, WakeUpTokens


class IdleTime:
    """The time until the bucket is to be asked again.

    Args:
        bucket: On a connection that a signal interrupts.
        worker: Name of the worker.
        sleep_seconds: Longest sleep of a worker that neither polls nor holds a lease.
        reaping: Of that bucket, on that connection.
        wake_up: Wakes this worker.
        plain_pushes: Wakes a worker for jobs that plain RQ pushes.
        registration: This worker among those of RQ.
        result_log: Writes what it kept back while the disk was full.
        availability: Is told of errors.
        stop: Breaks into a wait.
        maintain: Does RQ's own maintenance, when it is due.
    """

    def __init__(
        self,
        *,
        bucket: LeakyBucket,
        worker: str,
        sleep_seconds: float,
        reaping: Reaping,
        wake_up: WakeUpTokens,
        plain_pushes: PlainPushListener,
        registration: RqRegistration,
        result_log: ResultLog,
        availability: RedisAvailability,
        stop: StopSignals,
        maintain: Callable[[], None],
    ) -> None:
        self._bucket = bucket
        self._worker = worker
        self._sleep_seconds = sleep_seconds
        self._reaping = reaping
        self._wake_up = wake_up
        self._plain_pushes = plain_pushes
        self._registration = registration
        self._result_log = result_log
        self._availability = availability
        self._stop = stop
        self._maintain = maintain

    def spend(self, answer: Wait, *, briefly: bool = False) -> None:
        """Wait as the bucket answered, or for a wake-up; look around in between.

        Args:
            answer: Of the bucket.
            briefly: Whether the bucket is to be asked again soon, whatever it answered.

        Raises:
            StopRequested: The worker is to stop.
        """
        self._reaping.note_reap_of_others(answer.reaped_ago)
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
            if self._reaping.has_more:
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
        pause = self._sleep_seconds
        looks = 0 if answer.polling else SLEEP_SECONDS // pause
        ends_at = time.monotonic() + (looks * pause or SLEEP_SECONDS)
        look_at = time.monotonic() + (answer.seconds if answer.polling else pause)
        if self._reaping.has_more:
            self._reaping.reap()
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
            self._reaping.reap()
        if look.seconds is None or answer.polling:
            return look.seconds
        return self._sleep_seconds

    @property
    def _has_something_to_tell(self) -> bool:
        return self._reaping.has_more or self._result_log.has_news

    def _step_to(self, look_at: float) -> float:
        return max(0.0, min(look_at - time.monotonic(), STEP_SECONDS))

    def _look_around(self, answer: Wait) -> None:
        """Do what a look at the bucket would tell, and what is due.

        Raises:
            StopRequested: It was not done; others will.
        """
        try:
            self._registration.stay()
            if answer.polling and self._reaping.is_due:
                self._reaping.reap()
            self._do_what_is_due(answer)
        except RedisError as error:
            self._availability.note_error(error)

    def _do_what_is_due(self, answer: Wait) -> None:
        self._result_log.retry()
        if answer.polling:
            self._reaping.look_for_lost_jobs()
        self._maintain()
