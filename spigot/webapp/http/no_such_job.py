"""The answer to a request for a job that is not there."""

from flask import Response

from spigot.jobs.job.state import no_such_job

from .problem_types import ProblemType
from .problems import problem


def no_such_job_problem(job_id: str) -> Response:
    """Build the answer to a request for a job that is not there."""
    return problem(404, no_such_job(job_id), type=ProblemType.NO_SUCH_JOB)
