"""What RQ does around a job's end beside its function: stopped callbacks and webhooks.

That is foreign code, and may hang: it gets a work horse too, which is killed when its time is
over. What goes wrong is logged, and changes nothing for the job.
"""

import logging
import time
from collections.abc import Callable

from rq.timeouts import BaseDeathPenalty

from spigot.runtime.stop_signals import StopSignals

from .claimed_job import ClaimedJob
from .outcome import Outcome
from .runner import LOOK_SECONDS, TIMEOUT_MARGIN
from .work_horse import WorkHorse

log = logging.getLogger(__name__)


class RqCallbacks:
    """Runs callbacks and webhooks, one after the other.

    Args:
        stop: What signals said.
        grace_seconds: How long a piece may run on after a signal.
        death_penalty: RQ's way to end a function at its timeout.
    """

    def __init__(
        self, stop: StopSignals, grace_seconds: float, death_penalty: type[BaseDeathPenalty]
    ) -> None:
        self._stop = stop
        self._grace_seconds = grace_seconds
        self._death_penalty = death_penalty

    def call_stopped_callback(self, job: ClaimedJob) -> None:
        """Call what the job wants called if it is stopped; before its state says that it was."""
        if job._stopped_callback_name:
            self._run(
                lambda: job.execute_stopped_callback(self._death_penalty),
                job.stopped_callback_timeout,
                f"stopped callback of job {job.id}",
            )

    def send_webhooks(self, job: ClaimedJob, status: str, trace: str) -> None:
        """Tell those who wait for the job's end; once its state says so, and one time only.

        Args:
            job: That has ended.
            status: As the result log says.
            trace: The traceback, if it failed.
        """
        rq_status = "failed" if status in ("abandoned", "refused") else status
        due = [webhook for webhook in job.webhooks if webhook.job_status == rq_status]
        if due:
            self._run(
                lambda: job.send_webhooks(rq_status, exc_string=trace),
                sum(webhook.timeout for webhook in due),
                f"webhooks of job {job.id}",
            )

    def _run(self, call: Callable[[], None], seconds: float, what: str) -> None:
        def live() -> Outcome:
            call()
            return Outcome("finished")

        try:
            horse = WorkHorse(lambda: live, start_at=0)
        except OSError as error:
            log.error("%s: not done, no work horse can be forked: %s", what, error)
            return
        latest = time.monotonic() + seconds + TIMEOUT_MARGIN
        while not horse.wait(LOOK_SECONDS, self._stop):
            if time.monotonic() > latest or self._stop.requested_for(self._grace_seconds):
                break
        horse.reap()
        if horse.outcome is None:
            log.error("%s: not done, its work horse %s", what, horse.end)
