"""Puts the web together: which parts are used, and in which order requests meet them."""

import logging

from flask import Blueprint, Flask, request
from redis import Redis, RedisError

from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.bucket.file import BucketFile
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.job.cancelling import JobCanceller
from spigot.jobs.job.details import JobDetailsReader
from spigot.jobs.job.events import JobEvents
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.job.search import JobSearch
from spigot.jobs.job.state import JobReader
from spigot.jobs.overview.reading import OverviewReader
from spigot.jobs.store.primary_watch import PrimaryWatch
from spigot.jobs.store.replica_wait import wait_from
from spigot.jobs.types.app_choice import choose_apps
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.missing_files import refuse_missing_file
from spigot.runtime.server.redis_connection import connect, sibling
from spigot.runtime.server.server_url import find_server_url
from spigot.runtime.settings import Settings, load_settings
from spigot.webapp.dashboard.changes import Changes
from spigot.webapp.door.door import Door
from spigot.webapp.door.rate_limits.clock import Clock
from spigot.webapp.door.rate_limits.outcomes import WRONG_PASSWORD
from spigot.webapp.door.rate_limits.rules_file import RulesFile
from spigot.webapp.http.admin import Admin, IsAdmin
from spigot.webapp.http.admin import is_admin as is_admin_asking
from spigot.webapp.http.sessions import Sessions
from spigot.webapp.metrics.web_metrics import WebMetrics
from spigot.webapp.serving.client_body import with_client_body
from spigot.webapp.serving.descriptors import fit, open_files_limit
from spigot.webapp.waiting.connection_loop import ConnectionLoop

from .api_docs import docs_routes
from .dashboard import dashboard
from .door import forwarding, wrong_passwords
from .http import cross_origin, errors, page_security, request_ids
from .metrics import routes as metrics
from .pages import activity as activity_routes
from .pages import admin_pages, live_lists, overview, problem_page, viewer
from .pages import login as login_routes
from .routes import buckets as bucket_routes
from .routes import clients as client_routes
from .routes import failures as failure_routes
from .routes import job_types as job_type_routes
from .routes import jobs as job_routes
from .routes import jobs_admin as jobs_admin_routes
from .routes import one_job as one_job_routes
from .routes import status as status_routes

WEB_REPLY_SECONDS = 0.5
"""How long a request waits for the server: a hung one costs it a connect or one reply."""

CHANGE_SECONDS = 10.0
"""The same for the admin, who changes a hundred jobs in one step."""

ROUTES = (
    status_routes,
    job_routes,
    jobs_admin_routes,
    one_job_routes,
    job_type_routes,
    bucket_routes,
    failure_routes,
    client_routes,
)

log = logging.getLogger(__name__)


def create_app(settings: Settings | None = None, *, is_admin: IsAdmin | None = None) -> Flask:
    """Build the API; the only place that decides which parts are used.

    Args:
        settings: None reads the environment.
        is_admin: The application's own login, in place of the password and of sessions. It is
            called with each request, before any ``before_request`` of the application, and
            returns whether the admin sent it.

    Raises:
        OperatorError: The process should print it and stop.
        TypeError: ``is_admin`` cannot be called.
    """
    if is_admin is not None and not callable(is_admin):
        raise TypeError(f"is_admin must be a function that takes a request, not {is_admin!r}")
    settings = settings or load_settings()
    refuse_missing_file(settings, "rate_limits", "buckets")
    catalog = JobCatalog.load(choose_apps(settings))
    buckets = BucketFile.of(settings, catalog.bucket_names(), catalog.costs())
    url = find_server_url(settings)
    limits_url = settings.limits_redis_url or url
    redis = connect(url, timeout=WEB_REPLY_SECONDS)
    _publish(redis, buckets)

    app = _bare_app(settings)
    app.before_request(lambda: buckets.follow(redis))
    app.before_request(PrimaryWatch(redis).start)
    _add_parts(app, settings, catalog, buckets, redis)
    admin = app.extensions["admin"] = _admin(redis, settings.admin_password, is_admin)
    errors.init_app(app)
    problem_page.init_app(app)
    page_security.init_app(app)
    counted = metrics.init_app(app, redis, catalog)
    door = _put_door_on(app, settings, limits_url, counted)
    app.extensions["counted_headers"] = door.counted_headers
    cross_origin.init_app(app, settings.cors_origins, door.counted_headers)
    for routes in ROUTES:
        app.register_blueprint(routes.blueprint)
    docs_routes.init_app(app, catalog)
    app.extensions["limits_redis"] = connect(limits_url, timeout=WEB_REPLY_SECONDS)
    _add_pages(app, settings, catalog, buckets)
    if admin.exists:
        changes = Changes(connect(url, timeout=CHANGE_SECONDS), settings.keep_seconds)
        dashboard.init_app(app, connect(url, timeout=WEB_REPLY_SECONDS), changes)
    for blueprint in _blueprints_of(catalog):
        app.register_blueprint(blueprint)
    return app


def _bare_app(settings: Settings) -> Flask:
    """Return an application that knows how to read requests, and has no routes."""
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = settings.max_body_bytes + 1  # the first that is refused
    app.json.sort_keys = False  # type: ignore[attr-defined]
    app.wsgi_app = with_client_body(app.wsgi_app)  # type: ignore[assignment, method-assign]
    request_ids.init_app(app)
    forwarding.init_app(app, settings.trusted_proxies)
    return app


def _add_parts(
    app: Flask, settings: Settings, catalog: JobCatalog, buckets: BucketFile, redis: Redis
) -> None:
    """Add what the routes share: who reads and changes jobs and buckets, and the settings."""
    wait = wait_from(settings)
    room = fit(open_files_limit(), settings.web_threads)
    reader = JobReader(redis)
    app.extensions |= {
        "redis": redis,
        "job_catalog": catalog,
        "job_queue": JobQueue(
            sibling(redis, timeout=WEB_REPLY_SECONDS + wait.seconds) if wait else redis,
            catalog,
            buckets,
            keep_seconds=settings.keep_seconds,
            wait=wait,
        ),
        "job_reader": reader,
        "job_details_reader": JobDetailsReader(redis),
        "job_canceller": JobCanceller(redis, keep_seconds=settings.keep_seconds),
        "job_search": JobSearch(redis, settings.keep_seconds),
        "connection_loop": ConnectionLoop(reader, JobEvents(redis), room.parked),
        "bucket_reader": BucketReader(redis, buckets),
        "ipv6_prefix": settings.ipv6_prefix,
        "keep_seconds": settings.keep_seconds,
        "readonly": bool(settings.readonly),
    }


def _add_pages(app: Flask, settings: Settings, catalog: JobCatalog, buckets: BucketFile) -> None:
    redis, limits_redis = app.extensions["redis"], app.extensions["limits_redis"]
    reader = OverviewReader(redis, settings.keep_seconds, buckets)
    viewer.init_app(app)
    overview.init_app(app, reader, redis, limits_redis, settings.keep_seconds)
    admin_pages.init_app(app, redis, reader, catalog)
    live_lists.init_app(app)
    activity_routes.init_app(app, redis, limits_redis, settings.keep_seconds)
    login_routes.init_app(app)


def _put_door_on(app: Flask, settings: Settings, redis_url: str, counted: WebMetrics) -> Door:
    admin: Admin = app.extensions["admin"]
    door = Door(
        app,
        rules=RulesFile(
            settings.rate_limits,
            Clock().monotonic_us,
            optional=settings.is_unset("rate_limits"),
        ),
        redis_url=redis_url,
        key_prefix="",
        trusted_proxies=settings.trusted_proxies,
        ipv6_prefix=settings.ipv6_prefix,
        deadline=settings.door_deadline,
        web_processes=settings.web_processes,
        is_admin=lambda: is_admin_asking(request),
        further_costs=lambda: wrong_passwords.COSTS if admin.is_guess(request) else (),
        on_decision=counted.count_decision,
    )
    for name in (*door.rule_names(), WRONG_PASSWORD):
        counted.know_rule(name)
    return door


def _admin(redis: Redis, password: str | None, login: IsAdmin | None) -> Admin:
    sessions = Sessions(redis, password) if password is not None else None
    return Admin(password, sessions, login)


def _publish(redis: Redis, buckets: BucketFile) -> None:
    try:
        buckets.publish(redis)
    except RedisError as error:  # the web starts all the same, and publishes when it is asked
        log.warning("the buckets are published when the server answers: %s", error)
    except NewerBucketError as error:
        log.error("%s; until then it is shown and takes no jobs here", error)


def _blueprints_of(catalog: JobCatalog) -> list[Blueprint]:
    found = (getattr(module, "blueprint", None) for module in catalog.modules)
    return list(dict.fromkeys(value for value in found if isinstance(value, Blueprint)))
