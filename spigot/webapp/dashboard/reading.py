"""How rq-dashboard reads what RQ keeps: JSON and never a pickle, and of a list only one page."""

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, cast, get_args

import rq_dashboard.web as rq_web
from redis import Redis
from rq import Queue, Worker
from rq.exceptions import DeserializationError, NoSuchJobError
from rq.job import Job
from rq.registry import (
    BaseRegistry,
    CanceledJobRegistry,
    DeferredJobRegistry,
    FailedJobRegistry,
    FinishedJobRegistry,
    ScheduledJobRegistry,
    StartedJobRegistry,
)
from rq.serializers import JSONSerializer

from spigot.jobs.job.clearing import Place
from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_text, unless_spoilt
from spigot.jobs.types.hidden_fields import masked

PLACES = get_args(Place)
UNREADABLE = "(not shown: it is no JSON)"
LONGEST_DESCRIPTION = 300
"""Characters of a payload in a list."""


class ReadableJSON(JSONSerializer):
    """Reads JSON, and says so of what is none: a pickle is a program, which would run here."""

    @staticmethod
    def loads(text: bytes) -> Any:
        """Return the value, or ``UNREADABLE`` for what is no JSON."""
        try:
            return JSONSerializer.loads(text)
        except ValueError:
            return UNREADABLE


class ReadingJob(Job):
    """RQ's record of a job, read without pickle."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "serializer": ReadableJSON})
        self._hidden: list[list[str]] = []

    def restore(self, raw_data: dict[bytes, Any]) -> None:
        """Take what RQ keeps, and which of the payload's fields nobody is shown."""
        super().restore(raw_data)
        hidden = raw_data.get(b"spigot_hidden")
        self._hidden = json.loads(hidden) if hidden else []
        type_name = stored_text(raw_data.get(b"spigot_type") or b"")
        if type_name:  # RQ's description is the same for all jobs of ours
            self.description = f"{type_name} {self._payload_text()}"

    def _payload_text(self) -> str:
        try:
            text = json.dumps(self.kwargs, ensure_ascii=False)
        except (DeserializationError, TypeError, ValueError):
            return UNREADABLE
        return text if len(text) <= LONGEST_DESCRIPTION else f"{text[:LONGEST_DESCRIPTION]}…"

    def _deserialize_data(self) -> None:
        super()._deserialize_data()  # type: ignore[no-untyped-call]
        if self._hidden:
            self._kwargs = masked(self._kwargs, self._hidden)

    @property
    def dependency_ids(self) -> list[bytes]:  # type: ignore[override]  # rq-dashboard decodes them
        """The ids of the jobs that this one waits for."""
        return [job_id.encode() for job_id in super().dependency_ids]

    def get_call_string(self) -> str | None:
        """Return the call as text."""
        try:
            return super().get_call_string()
        except DeserializationError:
            return UNREADABLE


class ReadingWorker(Worker):
    """RQ's record of a worker, read without pickle and without changing the connection."""

    job_class = ReadingJob

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{**options, "serializer": ReadableJSON})

    def _set_connection(self, connection: Redis) -> Redis:
        return connection  # RQ's own would raise its timeout to minutes

    def get_current_job(self) -> Job | None:
        """Return what it runs; None also of a job that was deleted meanwhile."""
        try:
            return super().get_current_job()
        except NoSuchJobError:
            return None


class Queues(Queue):
    """Queues, without what else somebody put into their set; a stranger's key counts as empty."""

    @property
    def count(self) -> int:
        """How many jobs wait."""
        count: int = unless_spoilt(lambda: super(Queues, self).count, 0)
        return count

    @classmethod
    def all(cls, connection: Redis, *args: Any, **options: Any) -> list[Queue]:
        """Return all queues."""
        found = unless_spoilt(lambda: connection.smembers(cls.redis_queues_keys), set())
        return [
            cls.from_queue_key(key, connection, *args, **options)
            for key in map(stored_text, found)
            if key.startswith(cls.redis_queue_namespace_prefix)
        ]


class Registry(BaseRegistry):
    """A list of a queue's jobs, of which a stranger's key counts as empty."""

    def get_job_count(self, cleanup: bool = True) -> int:
        """Return how many there are."""
        count: int = unless_spoilt(lambda: super(Registry, self).get_job_count(cleanup), 0)
        return count


class Started(Registry, StartedJobRegistry):
    """The jobs that run."""


class Finished(Registry, FinishedJobRegistry):
    """The jobs that finished."""


class Failed(Registry, FailedJobRegistry):
    """The jobs that failed."""


class Deferred(Registry, DeferredJobRegistry):
    """The jobs that wait for others."""


class Canceled(Registry, CanceledJobRegistry):
    """The jobs that were cancelled."""


class Scheduled(Registry, ScheduledJobRegistry):
    """The jobs that wait for a time, those of the bucket of this name too."""

    def get_job_count(self, cleanup: bool = True) -> int:
        """Return how many there are."""
        ours: int = unless_spoilt(lambda: self.connection.zcard(keys.delayed(self.name)), 0)
        return super().get_job_count(cleanup) + ours


def read_page(
    queue_name: str, place: str, offset: int, per_page: int, order: str, connection: Redis
) -> tuple[int, list[dict[str, Any]]]:
    """Return how many jobs a list has, and those of one page.

    rq-dashboard's own function reads N pages for page N.

    Args:
        queue_name: A queue.
        place: One of ``PLACES``.
        offset: Jobs before the page.
        per_page: Jobs on it.
        order: ``asc`` or ``dsc``.
        connection: To the server.
    """
    first, last, newest_first = offset, offset + per_page - 1, order == "dsc"
    if place == "queued":
        total, entries = _page_of_queue(queue_name, first, last, newest_first, connection)
    else:
        total, entries = _page_of_sets(
            _sets(queue_name, place), first, last, newest_first, connection
        )
    ids = [
        stored_text(entry).partition(":")[0] for entry in entries
    ]  # a running one has its attempt
    return total, list(_readable_jobs(ids, connection))


def _readable_jobs(ids: list[str], connection: Redis) -> Iterator[dict[str, Any]]:
    """Yield the jobs that are there, without those whose keys hold something else."""
    jobs = unless_spoilt(lambda: ReadingJob.fetch_many(ids, connection=connection), None)
    if jobs is None:
        fetch = partial(ReadingJob.fetch_many, connection=connection)
        jobs = [job for job_id in ids for job in unless_spoilt(partial(fetch, [job_id]), [])]
    for job in filter(None, jobs):
        if shown := unless_spoilt(partial(rq_web.serialize_job, job), None):
            yield shown


def _page_of_queue(
    name: str, first: int, last: int, newest_first: bool, connection: Redis
) -> tuple[int, list[bytes]]:
    key = keys.queue(name)
    with connection.pipeline(transaction=False) as pipeline:
        pipeline.llen(key)
        pipeline.lrange(key, *((-last - 1, -first - 1) if newest_first else (first, last)))
        total, entries = unless_spoilt(pipeline.execute, (0, []))
    return total, entries[::-1] if newest_first else entries


def _page_of_sets(
    names: list[str], first: int, last: int, newest_first: bool, connection: Redis
) -> tuple[int, list[bytes]]:
    """Return a page of several sorted sets, one after the other."""
    counts: list[int] = [unless_spoilt(partial(connection.zcard, name), 0) for name in names]
    entries: list[bytes] = []
    parts = list(zip(names, counts, strict=True))
    for name, count in reversed(parts) if newest_first else parts:
        # a key that holds something else counts as empty, and must not be read
        if count and first < count and last >= 0:
            found = connection.zrange(name, max(0, first), last, desc=newest_first)
            entries += cast(list[bytes], found)  # no scores
        first, last = first - count, last - count
    return sum(counts), entries


def _sets(queue_name: str, place: str) -> list[str]:
    if place == "started":
        return [keys.running(queue_name)]
    ours = [keys.delayed(queue_name)] if place == "scheduled" else []
    return [*ours, f"rq:{place}:{queue_name}"]


def adapt_reading() -> None:
    """Put into rq-dashboard's module what its version 0.9 has no setting for."""
    rq_web.config.serializer = ReadableJSON
    rq_web.Job = ReadingJob
    rq_web.Queue = Queues
    rq_web.Worker = ReadingWorker
    rq_web.StartedJobRegistry = Started
    rq_web.FinishedJobRegistry = Finished
    rq_web.FailedJobRegistry = Failed
    rq_web.DeferredJobRegistry = Deferred
    rq_web.CanceledJobRegistry = Canceled
    rq_web.ScheduledJobRegistry = Scheduled
    rq_web.get_queue_registry_jobs_count = read_page
    rq_web.RedisConnectionError = ()  # its page for that is a 200; uncaught, it is our 503
