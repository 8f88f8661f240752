"""The overview: anybody sees how the buckets are, the admin also jobs and who is refused.

A job's id is what it is seen and cancelled by, and a client's address is nobody else's business:
neither is ever on a stranger's page, or in a stranger's stream of events.
"""

import json
import shlex
from collections import defaultdict
from typing import Any

from flask import (
    Blueprint,
    Flask,
    abort,
    current_app,
    redirect,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from redis import Redis, RedisError

from spigot.jobs.overview.reading import OverviewReader
from spigot.jobs.store import keys
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.schema_example import example_of
from spigot.runtime.server.redis_connection import is_away
from spigot.webapp.http.accepted import wants_page
from spigot.webapp.http.admin import is_admin, require_admin
from spigot.webapp.http.description import Answer, described
from spigot.webapp.http.no_such_job import no_such_job_problem
from spigot.webapp.waiting.connection_loop import ConnectionLoop
from spigot.webapp.waiting.parked_response import (
    EVENT_STREAM,
    STREAM_HEADERS,
    ParkedResponse,
    too_many_listeners,
)

from .html_page import AWAY_PAGE, PAGE, away_page, html_page
from .overview_model import Overview, OverviewSource
from .page_feed import PageFeeds
from .page_stream import PageStream
from .tap_picture import SMALL

blueprint = Blueprint("overview", __name__)


def init_app(
    app: Flask,
    reader: OverviewReader,
    redis: Redis,
    limits_redis: Redis,
    keep_seconds: int,
) -> None:
    """Serve the page; called by ``create_app``.

    Args:
        app: Has an ``Admin`` and a ``ConnectionLoop``.
        reader: Reads the buckets.
        redis: Connection to the server of the queue side.
        limits_redis: Connection to the server of the door.
        keep_seconds: How long ended jobs are kept.
    """
    source = OverviewSource(reader, redis, limits_redis, keep_seconds)
    app.extensions["overview"] = source
    app.extensions["page_feeds"] = PageFeeds(source)
    app.register_blueprint(blueprint)


@blueprint.get("/")
@described({200: PAGE, 503: AWAY_PAGE}, needs_server=False)
def page() -> ResponseReturnValue:
    """Show the buckets, as they change."""
    source: OverviewSource = current_app.extensions["overview"]
    try:
        overview: Overview = source.read(is_admin=is_admin(request))
    except RedisError as error:
        if not is_away(error):
            raise
        return away_page()
    return html_page(
        "overview.html",
        texts=overview.page,
        cards=overview.cards,
        rows=overview.rows,
        blank=defaultdict(str),
        frame=SMALL,
        curl=_curl(),
        failed_badge=overview.page.get("page_failed_badge", ""),
    )


@blueprint.get("/api/overview/events")
@described(
    {
        200: Answer(
            "Server-sent events: what differs on the overview, each second.", None, EVENT_STREAM
        ),
        503: "Too many clients listen already.",
    },
    needs_server=False,
)
def events() -> ResponseReturnValue:
    """Tell the overview what has changed."""
    feeds: PageFeeds = current_app.extensions["page_feeds"]
    name = request.args.get("bucket")
    if name and not keys.BUCKET.fullmatch(name[:200]):
        abort(400, "bucket must be the name of one")
    feed = feeds.of(name, is_admin=is_admin(request))
    loop: ConnectionLoop = current_app.extensions["connection_loop"]
    if loop.is_full:
        return too_many_listeners()
    return ParkedResponse(loop, PageStream(feed), mimetype=EVENT_STREAM, headers=STREAM_HEADERS)


@blueprint.get("/find")
@described({303: Answer("To the job's page."), 404: "This is no id."}, needs_server=False)
def find() -> ResponseReturnValue:
    """Lead to the page of the job whose id is given as ``id``."""
    job_id = request.args.get("id", "").strip()
    if not keys.JOB_ID.fullmatch(job_id):
        if job_id and wants_page(request):
            abort(no_such_job_problem(job_id))
        return redirect(url_for("overview.page"), 303)
    return redirect(url_for("job.show", job_id=job_id), 303)


@blueprint.get("/admin")
@described({303: Answer("Welcome: see the overview.")}, for_admin=True, needs_server=False)
def log_in() -> ResponseReturnValue:
    """Have the browser ask for the admin's password, and show the overview."""
    require_admin()
    return redirect(url_for("overview.page"), 303)


def _curl() -> str:
    url = request.root_url.rstrip("/") + url_for("jobs.create").removeprefix(request.script_root)
    body = json.dumps(_example_job(), ensure_ascii=False)
    return (
        f"curl -i {shlex.quote(url)} \\\n  -H 'Content-Type: application/json' \\\n"
        f"  -d {shlex.quote(body)}"
    )


def _example_job() -> dict[str, Any]:
    """Return a job that a client may send; it shows the form only where there is no job type."""
    catalog: JobCatalog = current_app.extensions["job_catalog"]
    job_type = min(catalog.public(), key=lambda each: each.name, default=None)
    if job_type is None:
        return {"type": "…", "payload": {}}
    schema = job_type.payload_schema or {}
    return {"type": job_type.name, "payload": example_of(schema, schema.get("$defs", {})) or {}}
