"""What the buttons of rq-dashboard do: its own views would go past the books of the buckets."""

from dataclasses import dataclass
from typing import NoReturn, cast

from flask import Flask, abort, current_app
from flask.typing import ResponseReturnValue
from redis import Redis

from spigot.jobs.job.clearing import JobClearer, Place
from spigot.jobs.job.queue import BucketRefusal
from spigot.jobs.job.requeueing import JobRequeuer, NotFailed, PlainQueueError
from spigot.webapp.http.admin import admin_in_words
from spigot.webapp.http.full_bucket import bucket_full_problem
from spigot.webapp.http.no_such_job import no_such_job_problem
from spigot.webapp.http.problems import problem

OK = {"status": "OK"}


@dataclass(frozen=True)
class Changes:
    """What the views work with.

    Attributes:
        redis: Connection with patience: a step with a hundred jobs may take a while.
        keep_seconds: How long a cancelled job is kept.
    """

    redis: Redis
    keep_seconds: int

    def clearer(self) -> JobClearer:
        """Return what deletes jobs in the name of the present request's client."""
        return JobClearer(self.redis, keep_seconds=self.keep_seconds, by=admin_in_words())


def replace_changes(app: Flask, changes: Changes) -> None:
    """Put our views in the place of those that change something.

    Args:
        app: Has the blueprint of rq-dashboard.
        changes: What they work with.
    """
    app.extensions["dashboard_changes"] = changes
    for view in (delete_job_view, requeue_job_view, requeue_all, empty_queue, compact_queue):
        endpoint = f"rq_dashboard.{view.__name__}"
        if endpoint not in app.view_functions:
            raise LookupError(f"this version of rq-dashboard has no view {view.__name__}")
        app.view_functions[endpoint] = view


def delete_job_view(job_id: str) -> ResponseReturnValue:
    """Forget a job that has ended, cancel any other."""
    if _changes().clearer().delete(job_id) is None:
        _no_such_job(job_id)
    return OK


def requeue_job_view(job_id: str) -> ResponseReturnValue:
    """Let a failed job wait again."""
    try:
        answer = _requeuer().requeue(job_id)
    except PlainQueueError as error:
        return problem(409, str(error))
    match answer:
        case None:
            _no_such_job(job_id)
        case NotFailed(job=job):
            return problem(409, f"only failed jobs can be requeued; this one is {job.status}")
        case BucketRefusal():
            return bucket_full_problem(answer)
    return OK


def requeue_all(queue_name: str) -> ResponseReturnValue:
    """Let a queue's failed jobs wait again, as many as there is room for."""
    try:
        count, full = _requeuer().requeue_failed_of(queue_name)
    except PlainQueueError as error:
        return problem(409, str(error))
    return bucket_full_problem(full, count=count) if full else {**OK, "count": count}


def empty_queue(queue_name: str, registry_name: str) -> ResponseReturnValue:
    """Delete the jobs of one list."""
    return {**OK, "count": _changes().clearer().empty(queue_name, cast(Place, registry_name))}


def compact_queue(queue_name: str) -> ResponseReturnValue:
    """Take entries without a job out of a queue."""
    return {**OK, "count": _changes().clearer().compact(queue_name)}


def _changes() -> Changes:
    changes: Changes = current_app.extensions["dashboard_changes"]
    return changes


def _requeuer() -> JobRequeuer:
    return JobRequeuer(_changes().redis)


def _no_such_job(job_id: str) -> NoReturn:
    abort(no_such_job_problem(job_id))
