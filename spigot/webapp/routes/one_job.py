"""``/jobs/ID``: where a job is, its changes, its end. The id is the capability."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import isfinite
from typing import Any

from flask import Blueprint, Response, abort, current_app, redirect, request, url_for
from flask.typing import ResponseReturnValue
from redis.exceptions import RedisError

from spigot.jobs.job.cancelling import JobCanceller
from spigot.jobs.job.details import JobDetails, JobDetailsReader
from spigot.jobs.job.state import JobReader, JobState
from spigot.webapp.http.accepted import wants_page, with_vary
from spigot.webapp.http.admin import is_admin
from spigot.webapp.http.description import NO_FORM, Answer, Value, described
from spigot.webapp.http.forms import require_form
from spigot.webapp.http.no_such_job import no_such_job_problem
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem
from spigot.webapp.waiting.connection_loop import ConnectionLoop
from spigot.webapp.waiting.event_stream import EventStream, StatusEvent, event, event_id
from spigot.webapp.waiting.long_poll import LongPoll
from spigot.webapp.waiting.parked_response import (
    EVENT_STREAM,
    STREAM_HEADERS,
    ParkedResponse,
    too_many_listeners,
)

log = logging.getLogger(__name__)

LONGEST_WAIT_SECONDS = 60.0
STOP_SECONDS = 2.0
"""How long a client waits for its running job to stop."""

WAIT = Value(
    "wait",
    "Answer when the job has ended, or after so many seconds.",
    {"type": "number", "minimum": 0, "maximum": LONGEST_WAIT_SECONDS},
    place="query",
    example=30,
)
LAST_EVENT_ID = Value(
    "Last-Event-ID", "The `id` of the last event that was received.", {"type": "string"}
)
NO_SUCH_JOB = "There is no such job: it never was, or it ended long ago."

blueprint = Blueprint("job", __name__, url_prefix="/jobs/<job_id>")


@dataclass(frozen=True)
class DetailedJob(JobState):
    """One job at one moment; the admin is told more of it.

    Attributes:
        payload: For the admin only: what the function is given, hidden fields masked.
        traceback: For the admin only: of the last attempt that raised.
        worker: For the admin only: name of the worker that runs the job, or ran it last.
        cost: For the admin only: what it takes of each budget, if its bucket has any.
        cost_actual: For the admin only: what its last attempt said that it used of them.
    """

    payload: Any = None
    traceback: str | None = None
    worker: str | None = None
    cost: dict[str, float] | None = None
    cost_actual: dict[str, float] | None = None


@blueprint.get("")
@described(
    {
        200: Answer("The job.", DetailedJob),
        400: "`wait` is no number of seconds within its bounds.",
        404: NO_SUCH_JOB,
        503: "Too many clients wait already, or the server is away.",
    },
    values=[WAIT],
)
def show(job_id: str) -> ResponseReturnValue:
    """Tell where a job is; with ``?wait=S`` when it has ended, or after S seconds.

    The admin is told its payload, the traceback of its last failure and its worker too.
    """
    if wants_page(request):
        return current_app.extensions["job_page"](job_id)  # type: ignore[no-any-return]
    return show_job(job_id, _renderer())


@blueprint.after_request
def _for_one_client(response: Response) -> Response:
    return with_vary(response)


@blueprint.post("/cancel")
@described(
    {
        303: Answer("It is cancelled, or being stopped: see the job."),
        404: NO_SUCH_JOB,
        415: NO_FORM,
    }
)
def press_cancel(job_id: str) -> ResponseReturnValue:
    """Cancel, for forms, which know no DELETE; whoever has the id may."""
    require_form("DELETE /jobs/ID")
    canceller: JobCanceller = current_app.extensions["job_canceller"]
    if canceller.cancel(job_id) is None:
        abort(no_such_job_problem(job_id))
    return redirect(url_for("job.show", job_id=job_id), 303)


@blueprint.get("/events")
@described(
    {
        200: Answer(
            "Server-sent events: one per change, the first at once; the last is the job's end.",
            StatusEvent,
            EVENT_STREAM,
        ),
        204: Answer("The job has ended, and this client was told so."),
        404: NO_SUCH_JOB,
        503: "Too many clients listen already, or the server is away.",
    },
    values=[LAST_EVENT_ID],
)
def events(job_id: str) -> ResponseReturnValue:
    """Tell of each change, until the job has ended."""
    job, last_id = _found(job_id), _last_event_id()
    if job.ended:
        # what ended was told: 204 keeps an EventSource from coming back for ever
        told = last_id == event_id(job)
        stream = Response("" if told else event(job), mimetype=EVENT_STREAM, headers=STREAM_HEADERS)
        stream.status_code = 204 if told else 200
        return stream
    if request.method == "HEAD":
        return Response(mimetype=EVENT_STREAM, headers=STREAM_HEADERS)
    return _later(EventStream(job, last_id), mimetype=EVENT_STREAM, headers=STREAM_HEADERS)


@blueprint.delete("")
@described(
    {
        200: Answer("The job is cancelled.", JobState),
        202: Answer("The job is being stopped, and will not run again.", JobState),
        404: NO_SUCH_JOB,
        409: "The job had already ended.",
    }
)
def cancel(job_id: str) -> ResponseReturnValue:
    """Cancel a job; if it runs, wait a little until it has stopped."""
    canceller: JobCanceller = current_app.extensions["job_canceller"]
    cancellation = canceller.cancel(job_id)
    if cancellation is None:
        abort(no_such_job_problem(job_id))
    if cancellation.outcome == "stopping":
        return _later(LongPoll(cancellation.job, STOP_SECONDS, cancelled_answer))
    if cancellation.outcome == "ended":
        return _ended_before(cancellation.job)
    return cancelled_answer(cancellation.job)


def _renderer() -> Callable[[JobState], Any]:
    """Return what shows a job to whoever asks; it may be called after the request."""
    if not is_admin(request):
        return JobState.to_json
    reader: JobDetailsReader = current_app.extensions["job_details_reader"]

    def tell_all(job: JobState) -> dict[str, Any]:
        try:
            details = reader.read(job.id)
        except RedisError as error:
            log.warning("details of job %s cannot be read: %s", job.id, error)
            details = JobDetails()
        return job.to_json() | details.to_json()

    return tell_all


def show_job(job_id: str, render: Callable[[JobState], Any] = JobState.to_json) -> Response:
    """Answer where a job is; views of applications end with this call.

    The argument ``?wait=S`` of the present request is heeded.

    Args:
        job_id: Of any job.
        render: Returns what the client is shown of the job, as JSON values. It may be called
            after the request.

    Returns:
        200 with what ``render`` returns, or 503 if too many clients wait already.

    Raises:
        HTTPException: There is no such job (404), or the time to wait is none (400).
        redis.RedisError: Answered with 503 if the server is away.
    """
    seconds = _seconds_to_wait()
    job = _found(job_id)
    answer = partial(job_answer, render=render)
    if job.ended or not seconds or request.method == "HEAD":
        return answer(job)
    return _later(LongPoll(job, seconds, answer))


def job_answer(
    job: JobState, status: int = 200, render: Callable[[JobState], Any] = JobState.to_json
) -> Response:
    """Build the answer that shows a job; needs no request."""
    return Response(json.dumps(render(job)), status, content_type="application/json")


def cancelled_answer(job: JobState) -> Response:
    """Build the answer to a client that had a job cancelled."""
    if not job.ended:
        return job_answer(job, 202)
    return job_answer(job) if job.status == "cancelled" else _ended_before(job)


def _ended_before(job: JobState) -> Response:
    return problem(
        409,
        f"the job had already ended: it is {job.status}",
        type=ProblemType.JOB_ENDED,
        job_status=job.status,
    )


def _later(response: EventStream | LongPoll, **options: object) -> Response:
    loop: ConnectionLoop = current_app.extensions["connection_loop"]
    return too_many_listeners() if loop.is_full else ParkedResponse(loop, response, **options)


def _found(job_id: str) -> JobState:
    reader: JobReader = current_app.extensions["job_reader"]
    return reader.read(job_id) or abort(no_such_job_problem(job_id))


def _seconds_to_wait() -> float:
    text = request.args.get("wait", "0")
    try:
        seconds = float(text)
    except ValueError:
        seconds = float("nan")
    if not isfinite(seconds) or not 0 <= seconds <= LONGEST_WAIT_SECONDS:
        abort(400, f"wait must be a number of seconds from 0 to {LONGEST_WAIT_SECONDS:g}")
    return seconds


def _last_event_id() -> int | None:
    """Return what the client got last; an id that is not ours counts as none."""
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
