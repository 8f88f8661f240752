"""What a job is and where it waits; the web and the workers both build on it."""

from .enqueueing import BucketFull, enqueue
from .job_catalog import UnknownJobType
from .job_types import InvalidPayload, job_type
from .progress import report_progress
from .rate_limited import RateLimited, raise_for_rate_limit
from .retry_policy import RetryPolicy

__all__ = [
    "BucketFull",
    "InvalidPayload",
    "RateLimited",
    "RetryPolicy",
    "UnknownJobType",
    "enqueue",
    "job_type",
    "raise_for_rate_limit",
    "report_progress",
]
