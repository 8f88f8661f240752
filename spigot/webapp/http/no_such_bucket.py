"""The answer to a request for a bucket that is not there."""

from flask import Response

from .problem_types import ProblemType
from .problems import problem


def no_such_bucket_problem(name: str) -> Response:
    """Build the answer to a request for a bucket that is not there."""
    return problem(404, f"there is no bucket {name!r}", type=ProblemType.NO_SUCH_BUCKET)
