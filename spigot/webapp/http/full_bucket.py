"""The answer to a request for which a bucket has no room."""

from math import ceil
from typing import Any

from flask import Response

from spigot.jobs.job.queue import BucketRefusal

from .problem_types import ProblemType
from .problems import problem


def bucket_full_problem(full: BucketRefusal, **members: Any) -> Response:
    """Build the answer to a request for which a bucket has no room.

    Args:
        full: Why, and for how long.
        **members: Further members of the document.
    """
    seconds = ceil(full.retry_after_ms / 1000)
    return problem(
        503,
        f"{full}; try again in {seconds} s",
        type=ProblemType.BUCKET_DRAINING if full.draining else ProblemType.BUCKET_FULL,
        headers={"Retry-After": str(seconds)},
        bucket=full.bucket,
        **members,
    )
