"""The page of a job, and what changes on it."""

import json
from collections import defaultdict

from flask import Blueprint, Response, abort, current_app, request
from flask.typing import ResponseReturnValue
from redis import Redis

from spigot.jobs.job.details import JobDetails, JobDetailsReader
from spigot.jobs.job.state import JobReader, JobState
from spigot.jobs.overview.number_texts import span_text
from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_text, unless_spoilt
from spigot.webapp.http.accepted import with_vary
from spigot.webapp.http.admin import is_admin
from spigot.webapp.http.description import Answer, described
from spigot.webapp.http.no_such_job import no_such_job_problem
from spigot.webapp.waiting.connection_loop import ConnectionLoop
from spigot.webapp.waiting.parked_response import (
    EVENT_STREAM,
    STREAM_HEADERS,
    ParkedResponse,
    too_many_listeners,
)

from .html_page import html_page
from .job_model import JobPictures
from .job_stream import JobPageStream
from .traceback_frames import frames_of

blueprint = Blueprint("job_page", __name__)


def job_page(job_id: str) -> Response:
    """Show one job to whoever has its id; to the admin also payload, traceback and worker."""
    reader: JobReader = current_app.extensions["job_reader"]
    job = reader.read(job_id)
    if job is None:
        abort(no_such_job_problem(job_id))
    pictures: JobPictures = current_app.extensions["job_pictures"]
    picture = pictures.of(job)
    details = _details(job) if is_admin(request) else None
    return html_page(
        "job.html",
        job=job,
        texts=picture.texts,
        steps=picture.steps,
        blank=defaultdict(str),
        details=details,
        payload=json.dumps(details.payload, indent=2, ensure_ascii=False) if details else "",
        frames=frames_of(details.traceback) if details else [],
        request_id=_request_id(job.id) if details else "",
        keep=span_text(current_app.extensions["keep_seconds"]),
        url=request.root_url.rstrip("/") + request.path.removeprefix(request.script_root),
    )


@blueprint.get("/jobs/<job_id>/page-events")
@described(
    {
        200: Answer(
            "Server-sent events: what differs on the job's page, each second.", None, EVENT_STREAM
        ),
        204: Answer("There is no such job."),
        503: "Too many clients listen already, or the server is away.",
    }
)
def job_events(job_id: str) -> ResponseReturnValue:
    """Tell a job's page what has changed."""
    reader: JobReader = current_app.extensions["job_reader"]
    job = reader.read(job_id)
    if job is None:
        return with_vary(Response(status=204))  # an EventSource does not come back
    loop: ConnectionLoop = current_app.extensions["connection_loop"]
    if loop.is_full:
        return too_many_listeners()
    stream = JobPageStream(job, current_app.extensions["job_pictures"])
    return ParkedResponse(loop, stream, mimetype=EVENT_STREAM, headers=STREAM_HEADERS)


def _details(job: JobState) -> JobDetails:
    reader: JobDetailsReader = current_app.extensions["job_details_reader"]
    return reader.read(job.id)


def _request_id(job_id: str) -> str:
    redis: Redis = current_app.extensions["redis"]
    found = unless_spoilt(lambda: redis.hget(keys.job(job_id), "spigot_request_id"), None)
    return stored_text(found or b"")
