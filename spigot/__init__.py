"""The names that an author of an application needs; each is loaded when it is first used.

Nothing else of the package is meant to be imported from outside.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .jobs.budgets.declared_cost import CostExceedsBurst, InvalidCost
    from .jobs.budgets.report import report_cost
    from .jobs.enqueued_job import EnqueuedJob, JobGone
    from .jobs.enqueueing import BucketFull, IdempotencyConflict, enqueue, enqueue_many
    from .jobs.job.queue import Priority
    from .jobs.job.state import JobState
    from .jobs.types.job_catalog import UnknownJobType
    from .jobs.types.job_types import job_type
    from .jobs.types.payloads import InvalidPayload
    from .jobs.types.progress import report_progress
    from .jobs.types.rate_limited import RateLimited, raise_for_rate_limit
    from .jobs.types.retry_policy import RetryPolicy
    from .jobs.types.upstream_limits import note_response
    from .webapp.app import create_app
    from .webapp.door.door import Door, rate_limit
    from .webapp.http.admin import require_admin
    from .webapp.http.request_body import read_model
    from .webapp.routes.jobs import submit
    from .webapp.routes.one_job import show_job
    from .worker.rate_aware_pool_worker import RateAwarePoolWorker
    from .worker.rate_aware_simple_worker import RateAwareSimpleWorker
    from .worker.rate_aware_worker import RateAwareWorker

_HOMES = {
    "BucketFull": ".jobs.enqueueing",
    "CostExceedsBurst": ".jobs.budgets.declared_cost",
    "Door": ".webapp.door.door",
    "EnqueuedJob": ".jobs.enqueued_job",
    "IdempotencyConflict": ".jobs.enqueueing",
    "InvalidCost": ".jobs.budgets.declared_cost",
    "InvalidPayload": ".jobs.types.payloads",
    "JobGone": ".jobs.enqueued_job",
    "JobState": ".jobs.job.state",
    "Priority": ".jobs.job.queue",
    "RateAwarePoolWorker": ".worker.rate_aware_pool_worker",
    "RateAwareSimpleWorker": ".worker.rate_aware_simple_worker",
    "RateAwareWorker": ".worker.rate_aware_worker",
    "RateLimited": ".jobs.types.rate_limited",
    "RetryPolicy": ".jobs.types.retry_policy",
    "UnknownJobType": ".jobs.types.job_catalog",
    "create_app": ".webapp.app",
    "enqueue": ".jobs.enqueueing",
    "enqueue_many": ".jobs.enqueueing",
    "job_type": ".jobs.types.job_types",
    "note_response": ".jobs.types.upstream_limits",
    "raise_for_rate_limit": ".jobs.types.rate_limited",
    "rate_limit": ".webapp.door.door",
    "read_model": ".webapp.http.request_body",
    "report_cost": ".jobs.budgets.report",
    "report_progress": ".jobs.types.progress",
    "require_admin": ".webapp.http.admin",
    "show_job": ".webapp.routes.one_job",
    "submit": ".webapp.routes.jobs",
}

__all__ = [
    "BucketFull",
    "CostExceedsBurst",
    "Door",
    "EnqueuedJob",
    "IdempotencyConflict",
    "InvalidCost",
    "InvalidPayload",
    "JobGone",
    "JobState",
    "Priority",
    "RateAwarePoolWorker",
    "RateAwareSimpleWorker",
    "RateAwareWorker",
    "RateLimited",
    "RetryPolicy",
    "UnknownJobType",
    "create_app",
    "enqueue",
    "enqueue_many",
    "job_type",
    "note_response",
    "raise_for_rate_limit",
    "rate_limit",
    "read_model",
    "report_cost",
    "report_progress",
    "require_admin",
    "show_job",
    "submit",
]


def __getattr__(name: str) -> Any:
    """Load a name when it is first used: the door alone needs no RQ, a job type no Flask."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name], __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, *globals()]
