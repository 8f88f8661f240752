"""The two stand-ins for server and workers: one keeps jobs, the other runs them."""

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from spigot.jobs.job.new_job import NewJob
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.job.state import JobReader, JobState
from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.settings import load_settings
from spigot.worker.leases.lease_terms import LeaseTerms

from .inline_worker import InlineWorker
from .memory_door import door_in_memory
from .memory_server import memory_server
from .virtual_clock import VirtualClock

LEASE_MS = 3_600_000
"""No lease runs out: the only worker does nothing else meanwhile."""


@dataclass(frozen=True, slots=True)
class Enqueued:
    """One job that was enqueued.

    Attributes:
        id: The job's.
        type: Name of its job type.
        payload: What it was given, as JSON: a dict.
        priority: ``high``, ``default`` or ``low``.
        delay: Seconds that it was to wait.
    """

    id: str
    type: str
    payload: Any
    priority: str
    delay: float


class FakeQueue:
    """What was enqueued, by whatever way: ``enqueue``, views, ``POST /jobs``.

    Attributes:
        enqueued: All of it, in order, without what was refused or repeated.
    """

    def __init__(self, reader: JobReader) -> None:
        self.enqueued: list[Enqueued] = []
        self._reader = reader

    @property
    def jobs(self) -> list[tuple[str, Any]]:
        """Job type and payload of each job, in order, to be compared with what is expected."""
        return [(job.type, job.payload) for job in self.enqueued]

    def state(self, job: Enqueued | str) -> JobState:
        """Return where a job is.

        Args:
            job: Of ``enqueued``, or an id.

        Raises:
            LookupError: There is no such job.
        """
        job_id = job if isinstance(job, str) else job.id
        state = self._reader.read(job_id)
        if state is None:
            raise LookupError(f"there is no job {job_id!r}")
        return state

    def clear(self) -> None:
        """Forget what was enqueued so far; the jobs stay where they are."""
        self.enqueued.clear()


@contextmanager
def fake(*, apps: Sequence[str] = ()) -> Iterator[FakeQueue]:
    """Keep what is enqueued in memory, and run nothing.

    Everything works as with a server: payloads are validated, buckets fill up, the API answers.
    Build the application under test within the block.

    Args:
        apps: Modules with job types, in place of ``SPIGOT_APPS``.

    Yields:
        What was enqueued.

    Raises:
        ValueError: ``apps`` is one name and no list.
        CatalogError: One of them cannot be imported.
    """
    with _in_memory(apps, VirtualClock()) as (queue, _):
        yield queue


@contextmanager
def inline(*, apps: Sequence[str] = ()) -> Iterator[FakeQueue]:
    """Run each job as soon as it is enqueued, in the thread that enqueues it.

    Retries, holds and refusals go as they would with a worker, but no time passes: slots, holds
    and delays are waited for on a clock that is set forward. Timeouts do not apply. A job that
    fails raises nothing here: its state shows the error.

    Args:
        apps: Modules with job types, in place of ``SPIGOT_APPS``.

    Yields:
        What was enqueued; ``state`` tells what came of it.

    Raises:
        ValueError, CatalogError: As ``fake``.
    """
    clock = VirtualClock()
    with _in_memory(apps, clock) as (queue, worker):
        take_in = JobQueue._take_in

        def take_in_and_run(self: JobQueue, *arguments: Any) -> Any:
            outcomes = take_in(self, *arguments)
            worker.run_all()
            return [queue.state(o.id) if isinstance(o, JobState) else o for o in outcomes]

        with patch.object(JobQueue, "_take_in", take_in_and_run):
            yield queue


@contextmanager
def _in_memory(
    apps: Sequence[str], clock: VirtualClock
) -> Iterator[tuple[FakeQueue, InlineWorker]]:
    if isinstance(apps, str):
        raise ValueError(f"apps must be a list of names of modules, such as [{apps!r}]")
    with ExitStack() as stack:
        if apps:
            stack.enter_context(patch.dict(os.environ, {"SPIGOT_APPS": ",".join(apps)}))
        redis = stack.enter_context(memory_server(clock))
        stack.enter_context(door_in_memory())
        queue = FakeQueue(JobReader(redis))
        stack.enter_context(_noting(queue))
        settings = load_settings()
        terms = LeaseTerms(
            lease_ms=LEASE_MS,
            max_reaps=settings.max_reaps,
            keep_seconds=settings.keep_seconds,
            max_refusals=settings.max_refusals,
        )
        yield queue, InlineWorker(redis, clock, JobCatalog.load(choose_apps(settings)), terms)


@contextmanager
def _noting(queue: FakeQueue) -> Iterator[None]:
    """Note what job queues take in."""
    take_in = JobQueue._take_in  # what ``enqueue`` and ``enqueue_many`` have in common

    def take_in_and_note(self: JobQueue, jobs: Sequence[NewJob], *arguments: Any) -> Any:
        outcomes = take_in(self, jobs, *arguments)
        for job, outcome in zip(jobs, outcomes, strict=True):
            if isinstance(outcome, JobState):
                queue.enqueued.append(_enqueued(job))
        return outcomes

    with patch.object(JobQueue, "_take_in", take_in_and_note):
        yield


def _enqueued(job: NewJob) -> Enqueued:
    payload = job.payload
    sent = payload.model_dump(mode="json") if hasattr(payload, "model_dump") else payload
    return Enqueued(job.id, job.type.name, sent, job.priority, job.delay_us / 1_000_000)
