"""Forks worker processes, restarts those that die, and stops with all of them."""

import gc
import logging
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf

from redis.exceptions import RedisError

from spigot.runtime.backoff import Backoff
from spigot.runtime.child_process import HELD_BACK, describe_end, fork_child
from spigot.runtime.server.server_faults import explain, is_denied
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.running.in_process_runner import HEED_SECONDS

log = logging.getLogger(__name__)

GIVE_BACK_SECONDS = HEED_SECONDS + 1.0
"""Time that a worker has after the grace, to end and give its job back; then it is killed."""

HURRY_SECONDS = 1.0
"""The same after a second signal."""


@dataclass(slots=True)
class _Place:
    """One worker process after the other.

    Attributes:
        bucket: That they serve.
        pid: Of the present one; 0 for none.
        begun_at: Monotonic seconds at which it was forked, or is to be.
        backoff: How long to wait before the next restart.
    """

    bucket: str
    pid: int = 0
    begun_at: float = 0.0
    backoff: Backoff = field(default_factory=lambda: Backoff(first=0.5, longest=30, steady=30))


class WorkerProcesses:
    """Runs one worker process per entry of ``buckets``.

    They are forked from this process, which has imported everything before: that is quicker
    and takes less memory than starting each anew.

    Args:
        buckets: Name of the bucket of each worker.
        work: What a worker process does; returns when it is to end.
        restart: Whether a worker that ends is replaced; if not, ``run`` ends with the last one.
        grace_seconds: How long a job may run on after a signal. A worker that has not ended soon
            after, because it stands still or ignores the signal, is killed: the lease brings its
            job back.
    """

    def __init__(
        self,
        buckets: Sequence[str],
        work: Callable[[str], None],
        *,
        restart: bool,
        grace_seconds: float,
    ) -> None:
        self._places = [_Place(bucket) for bucket in buckets]
        self._work = work
        self._restart = restart
        self._failed = False
        self._stop = StopSignals(on_second=self._hurry)
        self._sigterm_sent = False
        self._stop_seconds = grace_seconds + GIVE_BACK_SECONDS
        self._kill_at = inf

    def run(self) -> bool:
        """Run until told to stop, or until the workers have ended if none is restarted.

        Returns:
            False if a worker failed and was not restarted.
        """
        self._stop.install()
        gc.freeze()  # the workers share what is loaded instead of copying it
        waiting = list(self._places)
        while True:
            if self._stop.requested:
                waiting.clear()
                self._see_them_stop()
            if not waiting and not self._living():
                return not self._failed
            for place in [p for p in waiting if p.begun_at <= time.monotonic()]:
                waiting.remove(place)
                self._fork(place)
            self._await_event(waiting)
            waiting += self._reap()

    def _living(self) -> list[_Place]:
        return [place for place in self._places if place.pid]

    def _fork(self, place: _Place) -> None:
        place.begun_at = time.monotonic()
        place.pid = fork_child(_take_no_signal, partial(self._be_worker, place.bucket))

    def _be_worker(self, bucket: str) -> int:
        """Be a worker process; return its exit status."""
        try:
            self._work(bucket)
            return 0
        except SystemExit as reason:
            log.error("worker of bucket %s: %s", bucket, reason)
        except BaseException as error:
            if isinstance(error, RedisError) and is_denied(error):  # no fault of ours to trace
                log.error("worker of bucket %s: the server %s", bucket, explain(error))
            else:
                log.exception("worker of bucket %s failed", bucket)
        return 1

    def _await_event(self, waiting: list[_Place]) -> None:
        until = min([place.begun_at for place in waiting] + [self._kill_at])
        seconds = min(60.0, max(0.0, until - time.monotonic()))
        self._stop.wait_for_any(seconds)

    def _reap(self) -> list[_Place]:
        """Take note of the workers that ended; return the places to be filled again."""
        vacant = []
        for place in self._living():
            pid, status = os.waitpid(place.pid, os.WNOHANG)
            if not pid:
                continue
            place.pid = 0
            code = os.waitstatus_to_exitcode(status)
            if self._stop.requested or not self._restart:
                self._failed |= code != 0 and not self._ended_by_our_signal(code)
                continue
            self._plan_restart(place, pid, code)
            vacant.append(place)
        return vacant

    def _ended_by_our_signal(self, code: int) -> bool:
        """Return whether a worker ended by our own signal, which came before its handlers."""
        return self._sigterm_sent and code == -signal.SIGTERM

    def _plan_restart(self, place: _Place, pid: int, code: int) -> None:
        delay = place.backoff.delay_after(time.monotonic() - place.begun_at)
        log.error(
            "worker process %d of bucket %s %s; restarted in %g s",
            pid,
            place.bucket,
            describe_end(code),
            delay,
        )
        place.begun_at = time.monotonic() + delay

    def _see_them_stop(self) -> None:
        """Pass the signal on once, and kill those that have not ended when their time is over."""
        if not self._sigterm_sent:
            self._sigterm_sent = True
            self._kill_at = min(self._kill_at, time.monotonic() + self._stop_seconds)
            self._signal_all(signal.SIGTERM)
        elif time.monotonic() >= self._kill_at:
            self._kill_at = inf
            for place in self._living():
                log.error(
                    "worker process %d of bucket %s did not stop in time and is killed",
                    place.pid,
                    place.bucket,
                )
            self._signal_all(signal.SIGKILL)

    def _hurry(self) -> None:
        """Obey a second signal, in its handler; workers that can end do so at once."""
        self._kill_at = min(self._kill_at, time.monotonic() + HURRY_SECONDS)
        self._signal_all(signal.SIGTERM)

    def _signal_all(self, number: int) -> None:
        for place in self._living():
            os.kill(place.pid, number)


def _take_no_signal() -> None:
    """Have each signal end the process, until the worker has handlers of its own."""
    for number in HELD_BACK:
        signal.signal(number, signal.SIG_DFL)
