"""``/jobs``: takes jobs in."""

from collections.abc import Callable
from typing import Annotated, Any

from flask import Blueprint, Response, current_app, jsonify, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from spigot.jobs.job.queue import BucketRefusal, JobQueue, Priority, Repeated
from spigot.jobs.job.state import JobState
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.webapp.http.description import RETRY_AFTER, Answer, Value, described, problem_answer
from spigot.webapp.http.full_bucket import bucket_full_problem
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem
from spigot.webapp.http.request_body import read_model
from spigot.webapp.http.request_ids import note_job

from .idempotency import HEADER, idempotency_key

blueprint = Blueprint("jobs", __name__, url_prefix="/jobs")


class JobRequest(BaseModel):
    """Body of ``POST /jobs``."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(max_length=200)]
    payload: dict[str, Any] = {}
    priority: Priority = "default"


LOCATION = Value("Location", "Address of the job.", {"type": "string", "format": "uri-reference"})
IDEMPOTENCY_KEY = Value(
    HEADER,
    "Chosen by the client. The same key and body again make no second job.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
    example="order-4711",
)
NEXT = ("job.show", "job.events", "job.cancel")


@blueprint.post("")
@described(
    {
        200: Answer("The job of the first request with this key.", JobState, headers=[LOCATION]),
        202: Answer("The job was taken in.", JobState, headers=[LOCATION], links=NEXT),
        409: f"This `{HEADER}` was used for another request.",
        422: "There is no such job type, or a field is missing or wrong.",
        503: problem_answer(
            "The bucket is full or takes no jobs, or the server is away.", [RETRY_AFTER]
        ),
    },
    body=JobRequest,
    values=[IDEMPOTENCY_KEY],
)
def create() -> ResponseReturnValue:
    """Take one job in."""
    wanted = read_model(JobRequest)
    catalog: JobCatalog = current_app.extensions["job_catalog"]
    catalog.get_public(wanted.type)
    return submit(wanted.type, wanted.payload, wanted.priority)


def submit(
    type: str,
    payload: Any,
    priority: Priority = "default",
    *,
    render: Callable[[JobState], Any] = JobState.to_json,
) -> Response:
    """Enqueue a job and answer for it; views of applications end with this call.

    The header ``Idempotency-Key`` of the present request is heeded.

    Args:
        type: Name of a job type.
        payload: What it takes.
        priority: ``high`` leaves before ``default``, that before ``low``.
        render: Returns what the client is shown of the job, as JSON values.

    Returns:
        202 with what ``render`` returns and ``Location``, or 503 with ``Retry-After`` if its bucket
        is full. 200 with the first job's if the request was made before, 409 if its key was used
        for another.

    Raises:
        UnknownJobType: Answered with 422.
        InvalidPayload: Answered with 422.
        redis.RedisError: Answered with 503 if the server is away.
    """
    queue: JobQueue = current_app.extensions["job_queue"]
    key = idempotency_key(type, payload, priority)
    outcome = queue.enqueue(type, payload, priority, idempotency=key)
    match outcome:
        case BucketRefusal():
            return bucket_full_problem(outcome)
        case Repeated(job=None):
            return problem(
                409,
                f"this {HEADER} was used for another request; choose a new one",
                type=ProblemType.KEY_REUSED,
            )
        case Repeated(job=JobState() as first):
            return _with_location(first, render(first), 200)
    assert isinstance(outcome, JobState)
    return _with_location(outcome, render(outcome), 202)


def _with_location(job: JobState, told: Any, status: int) -> Response:
    note_job(job.id)
    response = jsonify(told)
    response.status_code = status
    response.location = url_for("job.show", job_id=job.id)
    return response
