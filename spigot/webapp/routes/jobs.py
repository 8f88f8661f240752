"""``/jobs``: takes jobs in."""

from collections.abc import Callable
from typing import Annotated, Any

from flask import Blueprint, Response, current_app, jsonify, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from spigot.jobs.budgets.declared_cost import InvalidCost
from spigot.jobs.job.new_job import NewJob
from spigot.jobs.job.queue import JobQueue, Priority, Repeated
from spigot.jobs.job.state import JobState
from spigot.jobs.types.job_catalog import JobCatalog, UnknownJobType
from spigot.jobs.types.payloads import InvalidPayload
from spigot.webapp.door.named_limits import counts_as
from spigot.webapp.http.description import RETRY_AFTER, Answer, Value, described, problem_answer
from spigot.webapp.http.problems import problem
from spigot.webapp.http.request_body import InvalidBody, as_model, read_json, read_model
from spigot.webapp.http.request_ids import note_job

from .idempotency import IDEMPOTENCY_HEADER, ItemKeys, idempotency_key
from .job_lists import (
    MOST_JOBS,
    ItemAnswer,
    WrongItem,
    item_answer,
    jobs_in_body,
    not_taken_in,
)

blueprint = Blueprint("jobs", __name__, url_prefix="/jobs")


class JobRequest(BaseModel):
    """Body of ``POST /jobs``."""

    model_config = ConfigDict(extra="forbid")

    type: Annotated[str, Field(max_length=200)]
    payload: dict[str, Any] = {}
    priority: Priority = "default"


LOCATION = Value("Location", "Address of the job.", {"type": "string", "format": "uri-reference"})
IDEMPOTENCY_KEY = Value(
    IDEMPOTENCY_HEADER,
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
        207: Answer("A list was looked at: an answer for each of its jobs.", list[ItemAnswer]),
        409: f"This `{IDEMPOTENCY_HEADER}` was used for another request.",
        422: "There is no such job type, or a field is missing or wrong.",
        503: problem_answer(
            "The bucket is full or takes no jobs, or the server is away.", [RETRY_AFTER]
        ),
    },
    body=JobRequest,
    values=[IDEMPOTENCY_KEY],
)
@counts_as(jobs_in_body)
def create() -> ResponseReturnValue:
    """Take one job in; or of a list of up to 1,000 such jobs, each that there is room for."""
    if isinstance(sent := read_json(), list) and sent:
        return take_in_list(sent)
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
    job = outcome.job if isinstance(outcome, Repeated) else outcome
    if not isinstance(job, JobState):
        return not_taken_in(outcome)
    note_job(job.id)
    response = jsonify(render(job))
    response.status_code = 200 if isinstance(outcome, Repeated) else 202
    response.location = url_for("job.show", job_id=job.id)
    return response


def take_in_list(sent: list[Any]) -> ResponseReturnValue:
    """Answer for a list of jobs, once each of them was looked at."""
    if len(sent) > MOST_JOBS:
        return problem(413, f"the list has {len(sent)} jobs; send at most {MOST_JOBS} at once")
    queue: JobQueue = current_app.extensions["job_queue"]
    catalog: JobCatalog = current_app.extensions["job_catalog"]
    keys = ItemKeys.of_request()
    looked_at = [_look_at(queue, catalog, item, keys, index) for index, item in enumerate(sent)]
    outcomes = iter(queue.enqueue_many([job for job in looked_at if isinstance(job, NewJob)]))
    answers = [next(outcomes) if isinstance(job, NewJob) else job for job in looked_at]
    response = jsonify([item_answer(answer) for answer in answers])
    response.status_code = 207
    return response


def _look_at(
    queue: JobQueue, catalog: JobCatalog, item: Any, keys: ItemKeys | None, index: int
) -> NewJob | WrongItem:
    try:
        wanted = as_model(JobRequest, item)
        catalog.get_public(wanted.type)
        content = (wanted.type, wanted.payload, wanted.priority)
        key = keys.of(index, content) if keys else None
        return queue.accept(*content, idempotency=key)
    except (InvalidBody, InvalidCost, InvalidPayload, UnknownJobType) as error:
        return error
