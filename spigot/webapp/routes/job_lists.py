"""Lists of jobs: how many the door counts, and what is answered for each."""

from typing import Any

from flask import Response, url_for
from pydantic import BaseModel, ConfigDict
from werkzeug.exceptions import HTTPException

from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.budgets.declared_cost import CostExceedsBurst, InvalidCost
from spigot.jobs.job.queue import BucketRefusal, Outcome, Repeated
from spigot.jobs.job.state import JobState
from spigot.jobs.types.job_catalog import UnknownJobType
from spigot.jobs.types.payloads import InvalidPayload
from spigot.webapp.http.errors import (
    invalid_cost_problem,
    invalid_problem,
    newer_bucket_problem,
    too_costly_problem,
    unknown_job_type_problem,
)
from spigot.webapp.http.full_bucket import bucket_full_problem
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem
from spigot.webapp.http.request_body import InvalidBody, read_json

from .idempotency import IDEMPOTENCY_HEADER

MOST_JOBS = 1000

WrongItem = InvalidBody | InvalidCost | InvalidPayload | UnknownJobType


class ItemAnswer(BaseModel):
    """What a request with this job alone would have been answered."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    status: int
    """HTTP status code."""

    headers: dict[str, str]
    """`Location`, or `Retry-After`; none where neither is due."""

    body: Any
    """The job, or a problem document."""


def jobs_in_body() -> int:
    """Return how many jobs the present request is to take in, as far as it can be read."""
    try:
        sent = read_json()
    except HTTPException:  # the view says why
        return 1
    return len(sent) if isinstance(sent, list) and len(sent) <= MOST_JOBS else 1


def item_answer(outcome: Outcome | WrongItem) -> dict[str, Any]:
    """Return what is answered for one job of a list."""
    job = outcome.job if isinstance(outcome, Repeated) else outcome
    if isinstance(job, JobState):
        status = 200 if isinstance(outcome, Repeated) else 202
        headers = {"Location": url_for("job.show", job_id=job.id)}
        return {"status": status, "headers": headers, "body": job.to_json()}
    refused = not_taken_in(outcome)
    wait = refused.headers.get("Retry-After")
    headers = {"Retry-After": wait} if wait else {}
    return {"status": refused.status_code, "headers": headers, "body": refused.get_json()}


def not_taken_in(outcome: Outcome | WrongItem) -> Response:
    """Build the answer for a job that was not taken in."""
    match outcome:
        case BucketRefusal():
            return bucket_full_problem(outcome)
        case NewerBucketError():
            return newer_bucket_problem(outcome)
        case InvalidCost():
            return invalid_cost_problem(outcome)
        case CostExceedsBurst():
            return too_costly_problem(outcome)
        case UnknownJobType():
            return unknown_job_type_problem(outcome)
        case InvalidBody() | InvalidPayload():
            return invalid_problem(outcome)
    return problem(
        409,
        f"this {IDEMPOTENCY_HEADER} was used for another request; choose a new one",
        type=ProblemType.KEY_REUSED,
    )
