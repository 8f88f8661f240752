"""The processes of a pool: one for most jobs, others for suspects and for the last jobs of one."""

import logging
import select
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from spigot.runtime.backoff import Backoff
from spigot.worker.leases.lease_renewer import LeaseRenewer
from spigot.worker.running.outcome import Outcome

from .child import PoolPlan
from .computing_jobs import ComputingJobs
from .culprit import who_ended
from .heartbeat import Heartbeat
from .pool_process import PoolProcess
from .shared_table import LEFT_BEHIND
from .suspicion import FEW, most_groups

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.1

IDLE_SECONDS = 2.0
"""How long a process for suspects waits for more of them."""

QUICK_DEATH_SECONDS = 1.0
"""A child that lived less than that is not replaced at once."""

OnEnds = Callable[[PoolProcess, Mapping[str, Outcome]], None]
OnDeath = Callable[[PoolProcess, int | None], None]


class Children:
    """Forks, watches, hears and replaces them.

    Args:
        plan: What they are made of.
        concurrency: How many attempts the main one runs at once.
        renewer: Is asked to stop attempts whose lease could not be renewed.
        lease_seconds: How long a lease stands without renewal.
        name_of: Returns the job in a place of a child, for people.
    """

    def __init__(
        self,
        plan: PoolPlan,
        concurrency: int,
        renewer: LeaseRenewer,
        lease_seconds: float,
        name_of: Callable[[PoolProcess, int | None], str],
    ) -> None:
        self._plan = plan
        self._concurrency = concurrency
        self._renewer = renewer
        self._heartbeat = Heartbeat(lease_seconds, name_of)
        self._computing_jobs = ComputingJobs(name_of)
        self._main: PoolProcess | None = None
        self._groups: list[PoolProcess] = []
        self._retired: list[PoolProcess] = []
        self._mutex = threading.RLock()
        self._backoff = Backoff(first=0.1, longest=10, steady=30)
        self._fork_at = 0.0
        self._look_at = 0.0
        self._is_closed = False

    def start(self, on_ends: OnEnds, on_death: OnDeath) -> None:
        """Fork the main child, and start the thread that looks after all.

        Args:
            on_ends: Called with a child, and the outcomes of attempts that ended, by token.
            on_death: Called with a child that has ended, and the place that the evidence names.

        Raises:
            OSError: No process can be forked.
        """
        self._on_ends = on_ends
        self._on_death = on_death
        self._main = PoolProcess(self._plan, self._concurrency)
        self._thread = threading.Thread(target=self._keep_watch, name="children", daemon=True)
        self._thread.start()

    @property
    def main_pid(self) -> int:
        """The process id of the one that runs most attempts; 0 for none."""
        return self._main.pid if self._main else 0

    def choose(self, suspicion: int) -> PoolProcess | None:
        """Return the child that is to run a job; None if there is no place."""
        with self._mutex:
            return self._main if suspicion == 0 else self._group()

    def tell_all(self, *message: object) -> None:
        """Send a message to all."""
        for child in self._all():
            child.send(*message)

    def kill(self) -> None:
        """End all at once; safe from any thread and signal handler."""
        for child in [self._main, *self._groups, *self._retired]:
            if child is not None:
                child.kill()

    def close(self) -> None:
        """Look after them no more, and end them."""
        self._is_closed = True
        self._thread.join()
        for child in self._all():
            self._receive(child, child.receive_rest)
            child.reap()

    def _all(self) -> list[PoolProcess]:
        with self._mutex:
            main = [self._main] if self._main else []
            return [*main, *self._groups, *self._retired]

    def _group(self) -> PoolProcess | None:
        """Return a process with room for one more suspect."""
        for child in self._groups:
            if child.taken < FEW:
                return child
        if len(self._groups) >= most_groups(self._concurrency):
            return None
        try:
            child = PoolProcess(self._plan, FEW)
        except OSError as error:
            log.error("no process for suspects can be forked: %s", error)
            return None
        self._groups.append(child)
        return child

    # The thread

    def _keep_watch(self) -> None:
        while not self._is_closed:
            try:
                self._look()
            except Exception:
                log.exception("a look at the processes of the pool failed")
                time.sleep(LOOK_SECONDS)

    def _look(self) -> None:
        children = self._all()
        open_ends = [child for child in children if not child.has_closed]
        ready, _, _ = select.select(open_ends, [], [], max(0, self._look_at - time.monotonic()))
        for child in ready:
            self._receive(child, child.receive)
        if time.monotonic() >= self._look_at or any(child.has_closed for child in children):
            self._look_at = time.monotonic() + LOOK_SECONDS
            self._look_after(children)

    def _look_after(self, children: Sequence[PoolProcess]) -> None:
        for child in children:
            if child.has_ended():
                self._see_off(child)
        living = [child for child in children if child.wait_status is None]
        self._heartbeat.look(living)
        self._computing_jobs.look(living)
        self._renewer.expire()
        self._replace()

    def _receive(self, child: PoolProcess, receive: Callable[[], Iterable[Any]]) -> None:
        ended = {token: Outcome(*values) for kind, token, values in receive() if kind == "ended"}
        if ended:
            self._on_ends(child, ended)

    def _see_off(self, child: PoolProcess) -> None:
        self._receive(child, child.receive_rest)
        with self._mutex:
            if child is self._main:
                self._main = None
                lived = time.monotonic() - child.begun_at
                delay = 0 if lived > QUICK_DEATH_SECONDS else self._backoff.delay_after(lived)
                self._fork_at = time.monotonic() + delay
            for others in (self._groups, self._retired):
                if child in others:
                    others.remove(child)
        named = self._heartbeat.culprits.pop(child, None)
        if not child.is_retired:
            self._on_death(child, who_ended(child) if named is None else named)
        child.reap()

    def _replace(self) -> None:
        """Replace a main child that has ended, or that has left too many functions behind."""
        with self._mutex:
            main = self._main
            if main is not None and self._is_worn(main):
                log.warning("pool process %d is replaced: too many functions do not end", main.pid)
                self._retire(main)
                self._main = None
            if self._main is None and time.monotonic() >= self._fork_at and not self._is_closed:
                self._fork_main()
            for group in [g for g in self._groups if self._is_done(g)]:
                self._groups.remove(group)
                self._retire(group)
        for child in self._retired:
            if self._is_empty(child):
                child.is_retired = True
                child.kill()

    def _fork_main(self) -> None:
        try:
            self._main = PoolProcess(self._plan, self._concurrency)
        except OSError as error:
            self._fork_at = time.monotonic() + 0.5
            log.error("no pool process can be forked: %s", error)

    def _retire(self, child: PoolProcess) -> None:
        self._retired.append(child)

    def _is_worn(self, child: PoolProcess) -> bool:
        return child.table[LEFT_BEHIND] > max(1, self._concurrency // 10)

    @staticmethod
    def _is_empty(child: PoolProcess) -> bool:
        return child.table.is_empty(child.places)

    def _is_done(self, child: PoolProcess) -> bool:
        idle = self._is_empty(child)
        old = time.monotonic() - child.begun_at > IDLE_SECONDS
        return child.taken > 0 and idle and (old or child.taken >= FEW)
