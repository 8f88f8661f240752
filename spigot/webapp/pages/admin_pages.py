"""The pages of a bucket, all jobs and clients, and how all pages get the addresses of the API.

The API's views call these where a browser asks (``http/accepted.py``).
"""

from collections import defaultdict
from collections.abc import Callable

from flask import Flask, Response, current_app, request
from redis import Redis, RedisError

from spigot.jobs.job.listing import PLACES
from spigot.jobs.job.state import JobState
from spigot.jobs.overview.reading import OverviewReader
from spigot.jobs.overview.verdict import judge
from spigot.jobs.overview.words import span_text
from spigot.jobs.store.stored_values import bucket_names
from spigot.jobs.store.times import utc_text
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.server.redis_connection import is_away
from spigot.webapp.http.admin import is_admin, require_admin
from spigot.webapp.routes.clients import read_clients
from spigot.webapp.routes.jobs_admin import find_jobs, read_wanted

from .budget_rows import budget_rows
from .cards import Judged, card_of
from .change_words import changes_of
from .failures_page import failures_page
from .html_page import away_page, html_page
from .job_model import JobPictures
from .job_page import blueprint, job_page
from .moments import ago_text, server_us
from .tap_picture import LARGE


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
        budgets=budget_rows(view) if admin else [],
        changes=changes_of([view], view.now_us, most=20) if admin else [],
        blank=defaultdict(str),
        did=request.args.get("did", ""),
        wanted=request.args.get("do", ""),
        now=utc_text(view.now_us, digits="seconds"),
    )


def jobs_page() -> Response:
    """Show jobs, filtered, a page at a time."""
    require_admin()
    wanted = read_wanted()
    found = find_jobs(wanted)
    redis: Redis = current_app.extensions["redis"]
    now_us = server_us(redis)
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


def clients_page() -> Response:
    """Show who was refused, and who is banned."""
    require_admin()
    return html_page(
        "clients.html",
        clients=read_clients(),
        banned=request.args.get("banned", ""),
        unbanned=request.args.get("unbanned", ""),
    )


def _job_line(job: JobState, now_us: int) -> dict[str, str]:
    when = {
        "queued": f"position {job.position}" if job.position else "",
        "delayed": f"due {_in(job)}",
        "started": f"for {ago_text(job.started_at, now_us).removesuffix(' ago')}",
    }.get(job.status, ago_text(job.ended_at, now_us))
    return {"id": job.id, "type": job.type, "bucket": job.bucket, "status": job.status,
            "error": job.error or "", "when": when}  # fmt: skip


def _in(job: JobState) -> str:
    seconds = job.estimated_start_in
    return "when another has ended" if seconds is None else f"in {span_text(seconds)}"
