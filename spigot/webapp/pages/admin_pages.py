"""The pages of a job, a bucket, all jobs, failures and clients; their addresses are the API's.

The API's views call these where a browser asks (``http/accepted.py``).
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from flask import Blueprint, Flask, Response, current_app, request
from flask.typing import ResponseReturnValue
from redis import Redis, RedisError

from spigot.jobs.job.details import JobDetails, JobDetailsReader
from spigot.jobs.job.failure_members import FailureMembers
from spigot.jobs.job.failure_place import FOREIGN
from spigot.jobs.job.failures import FailureGroup, FailureIndex
from spigot.jobs.job.listing import PLACES
from spigot.jobs.job.state import JobReader, JobState
from spigot.jobs.overview.reading import OverviewReader
from spigot.jobs.overview.verdict import judge
from spigot.jobs.overview.words import span_text, unix_us
from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import bucket_names, stored_text, unless_spoilt
from spigot.jobs.store.times import utc_text
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.server.redis_connection import is_away
from spigot.webapp.http.accepted import with_vary
from spigot.webapp.http.admin import is_admin, require_admin
from spigot.webapp.http.description import Answer, described
from spigot.webapp.routes.clients import read_clients
from spigot.webapp.routes.jobs_admin import find_jobs, read_wanted
from spigot.webapp.waiting.connection_loop import ConnectionLoop
from spigot.webapp.waiting.parked_response import (
    EVENT_STREAM,
    STREAM_HEADERS,
    ParkedResponse,
    too_many_listeners,
)

from .cards import Judged, card_of
from .change_words import changes_of
from .html_page import away_page, html_page
from .job_model import JobPictures
from .job_stream import JobPageStream
from .tap_picture import LARGE

SHOWN_MEMBERS = 20

FRAME = re.compile(r'^ *File "(?P<file>[^"\n]*)", line (?P<line>\d+), in (?P<function>.*)$')

blueprint = Blueprint("admin_pages", __name__)


def init_app(app: Flask, redis: Redis, overview: OverviewReader, catalog: JobCatalog) -> None:
    """Give the API's views their pages; called by ``create_app``.

    Args:
        app: Has the API's routes.
        redis: Connection to the server of the queue side.
        overview: Reads buckets.
        catalog: The job types, to choose from.
    """
    app.extensions["job_pictures"] = JobPictures(redis, overview)
    app.extensions["overview_reader"] = overview
    app.extensions["type_names"] = sorted(job_type.name for job_type in catalog)
    pages: dict[str, Callable[..., Response]] = {
        "job_page": job_page,
        "bucket_page": bucket_page,
        "jobs_page": jobs_page,
        "failures_page": failures_page,
        "clients_page": clients_page,
    }
    for name, page in pages.items():
        app.extensions[name] = _or_away(page)
    app.register_blueprint(blueprint)


def _or_away(page: Callable[..., Response]) -> Callable[..., Response]:
    def shown(*arguments: str) -> Response:
        try:
            return page(*arguments)
        except RedisError as error:
            if not is_away(error):
                raise
            return away_page()

    return shown


def job_page(job_id: str) -> Response:
    """Show one job to whoever has its id; to the admin also payload, traceback and worker."""
    reader: JobReader = current_app.extensions["job_reader"]
    job = reader.read(job_id)
    if job is None:
        return html_page("no_such.html", 404, what=f"There is no job {job_id}")
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


def bucket_page(name: str) -> Response:
    """Show one bucket; to the admin with its buttons, settings and changes."""
    reader: OverviewReader = current_app.extensions["overview_reader"]
    view = next(iter(reader.read([name])), None)
    if view is None:
        return html_page("no_such.html", 404, what=f"There is no bucket {name}")
    admin = is_admin(request)
    judged = Judged(view, judge(view, is_admin=admin))
    return html_page(
        "bucket.html",
        card=card_of(judged, is_admin=admin, frame=LARGE),
        state=view.state,
        frame=LARGE,
        changes=changes_of([view], view.now_us, most=20) if admin else [],
        did=request.args.get("did", ""),
        now=utc_text(view.now_us, digits="seconds"),
    )


def jobs_page() -> Response:
    """Show jobs, filtered, a page at a time."""
    require_admin()
    wanted = read_wanted()
    found = find_jobs(wanted)
    redis: Redis = current_app.extensions["redis"]
    now_us = _now_us(redis)
    arguments = {k: v for k, v in request.args.items() if v and k != "after"}
    return html_page(
        "jobs.html",
        wanted=wanted,
        found=found,
        lines=[_job_line(job, now_us) for job in found.jobs],
        statuses=list(PLACES),
        buckets=bucket_names(redis),
        types=current_app.extensions["type_names"],
        arguments=arguments,
        after=int(request.args.get("after") or 0),
    )


def failures_page() -> Response:
    """Show what fails, in groups."""
    require_admin()
    redis: Redis = current_app.extensions["redis"]
    groups = FailureIndex(redis).read(tracebacks=True)
    now_us = _now_us(redis)
    opened = request.args.get("group", "")
    members = FailureMembers(redis)
    return html_page(
        "failures.html",
        groups=[_group_texts(group, now_us) for group in groups],
        opened=opened,
        members={group.id: _members(members, group) for group in groups if group.id == opened},
        requeued=request.args.get("requeued", ""),
    )


def clients_page() -> Response:
    """Show who was refused, and who is banned."""
    require_admin()
    return html_page(
        "clients.html",
        clients=read_clients(),
        banned=request.args.get("banned", ""),
        unbanned=request.args.get("unbanned", ""),
    )


def frames_of(traceback: str | None) -> list[dict[str, Any]]:
    """Return the frames of a traceback: place, code, and whether it is the application's own."""
    found: list[dict[str, Any]] = []
    for line in (traceback or "").splitlines():
        if match := FRAME.match(line):
            own = not FOREIGN.search(match["file"])
            found.append({**match.groupdict(), "own": own, "code": []})
        elif found and line.startswith("    "):
            found[-1]["code"].append(line[4:])
    return found


def _details(job: JobState) -> JobDetails:
    reader: JobDetailsReader = current_app.extensions["job_details_reader"]
    return reader.read(job.id)


def _request_id(job_id: str) -> str:
    redis: Redis = current_app.extensions["redis"]
    found = unless_spoilt(lambda: redis.hget(keys.job(job_id), "spigot_request_id"), None)
    return stored_text(found or b"")


def _now_us(redis: Redis) -> int:
    seconds, micros = redis.time()
    return int(seconds) * 1_000_000 + int(micros)


def _ago(moment: str | None, now_us: int) -> str:
    return f"{span_text(max(0, now_us - unix_us(moment)) / 1_000_000)} ago" if moment else ""


def _job_line(job: JobState, now_us: int) -> dict[str, str]:
    when = {
        "queued": f"position {job.position}" if job.position else "",
        "delayed": f"due {_in(job)}",
        "started": f"for {_ago(job.started_at, now_us).removesuffix(' ago')}",
    }.get(job.status, _ago(job.ended_at, now_us))
    return {"id": job.id, "type": job.type, "bucket": job.bucket, "status": job.status,
            "error": job.error or "", "when": when}  # fmt: skip


def _in(job: JobState) -> str:
    seconds = job.estimated_start_in
    return "when another has ended" if seconds is None else f"in {span_text(seconds)}"


def _group_texts(group: FailureGroup, now_us: int) -> dict[str, Any]:
    last = _ago(group.last_at, now_us)
    is_hot = bool(group.last_at) and now_us - unix_us(group.last_at or "") < 300 * 1_000_000
    return {
        "group": group,
        "first": _ago(group.first_at, now_us),
        "last": last,
        "is_hot": is_hot,
        "frames": frames_of(group.traceback),
    }


def _members(members: FailureMembers, group: FailureGroup) -> list[JobState]:
    reader: JobReader = current_app.extensions["job_reader"]
    found = reader.read_many(members.ids(group, SHOWN_MEMBERS))
    return [job for job in found if job]
