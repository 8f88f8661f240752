"""The pages of a bucket, all jobs and clients, and how all pages get the addresses of the API.

The API's views call these where a browser asks (``http/accepted.py``).
"""

import time
from collections import defaultdict

from flask import Flask, Response, abort, current_app, request
from redis import Redis

from spigot.jobs.job.listing import PLACES
from spigot.jobs.overview.reading import OverviewReader
from spigot.jobs.overview.verdict import judge
from spigot.jobs.store.stored_values import bucket_names
from spigot.jobs.store.times import server_us, utc_text
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.webapp.http.admin import is_admin, require_admin
from spigot.webapp.http.no_such_bucket import no_such_bucket_problem
from spigot.webapp.routes.clients import read_clients
from spigot.webapp.routes.jobs_admin import find_jobs, read_page, read_wanted

from .budget_rows import budget_rows
from .cards import Judged, card_of
from .change_words import changes_of
from .failures_page import failures_page
from .html_page import html_page
from .job_model import STATES, JobPictures
from .job_page import blueprint, job_page
from .list_lines import SHOWN_CLIENTS, client_line, job_line
from .tap_picture import LARGE

FILTERS = ("status", "bucket", "type", "q", "limit")


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
    app.extensions |= {
        "job_page": job_page,
        "bucket_page": bucket_page,
        "jobs_page": jobs_page,
        "failures_page": failures_page,
        "clients_page": clients_page,
    }
    app.register_blueprint(blueprint)


def bucket_page(name: str) -> Response:
    """Show one bucket; to the admin with its buttons, settings and changes."""
    reader: OverviewReader = current_app.extensions["overview_reader"]
    view = next(iter(reader.read([name])), None)
    if view is None:
        abort(no_such_bucket_problem(name))
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
    arguments = {name: request.args[name] for name in FILTERS if request.args.get(name)}
    lines = [
        {"id": job.id, "type": job.type, "bucket": job.bucket, **job_line(job, now_us)}
        for job in found.jobs
    ]
    return html_page(
        "jobs.html",
        wanted=wanted,
        found=found,
        lines=lines,
        blank=defaultdict(str),
        words={status: STATES[status][0] for status in PLACES},
        buckets=bucket_names(redis),
        types=current_app.extensions["type_names"],
        arguments=arguments,
        after=read_page()[0],
        now=utc_text(now_us, digits="seconds"),
    )


def clients_page() -> Response:
    """Show who was refused, and who is banned."""
    require_admin()
    clients = read_clients(current_app.extensions["limits_redis"])
    return html_page(
        "clients.html",
        lines=[{"client": one.client, **client_line(one)} for one in clients[:SHOWN_CLIENTS]],
        more=max(0, len(clients) - SHOWN_CLIENTS),
        blank=defaultdict(str),
        now=utc_text(time.time_ns() // 1000, digits="seconds"),
        wanted=request.args.get("do", ""),
        client=request.args.get("client", ""),
        banned=request.args.get("banned", ""),
        unbanned=request.args.get("unbanned", ""),
    )
