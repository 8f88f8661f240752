"""The live page: anybody sees how the buckets are, the admin also jobs and who is refused.

A job's id is what it is seen and cancelled by, and a client's address is nobody else's business:
both are in ``/api/activity`` alone.
"""

from dataclasses import asdict

from flask import (
    Blueprint,
    Flask,
    Response,
    current_app,
    redirect,
    render_template,
    request,
    url_for,
)
from flask.typing import ResponseReturnValue
from redis import Redis

from spigot.webapp.http.admin import Admin, has_session, is_admin, require_admin
from spigot.webapp.http.description import Answer, described
from spigot.webapp.http.page_security import secure_page

from .activity import Activity, ActivityReader

blueprint = Blueprint("live", __name__)


def init_app(app: Flask, redis: Redis, limits_redis: Redis, keep_seconds: int) -> None:
    """Serve the page; called by ``create_app``.

    Args:
        app: Has an ``Admin``.
        redis: Connection to the server of the queue side.
        limits_redis: Connection to the server of the door.
        keep_seconds: How long ended jobs are kept.
    """
    app.extensions["activity"] = ActivityReader(redis, limits_redis, keep_seconds)
    app.register_blueprint(blueprint)


@blueprint.get("/")
@described({200: Answer("A page.", str, "text/html")}, needs_server=False)
def page() -> ResponseReturnValue:
    """Show what is in the buckets, as it changes."""
    admin: Admin = current_app.extensions["admin"]
    text = render_template(
        "live.html",
        is_admin=is_admin(request),
        has_session=has_session(request),
        has_password=admin.has_password,
    )
    response = secure_page(Response(text, mimetype="text/html"))
    response.headers["Cache-Control"] = "no-store"  # strangers and the admin see different pages
    return response


@blueprint.get("/api/activity")
@described({200: Answer("What happens now.", Activity)}, for_admin=True)
def activity() -> ResponseReturnValue:
    """Show which jobs run and which ended last, and who is refused at the door."""
    require_admin()
    reader: ActivityReader = current_app.extensions["activity"]
    return asdict(reader.read()), {"Cache-Control": "no-store"}


@blueprint.get("/admin")
@described({303: Answer("Welcome: see the live page.")}, for_admin=True, needs_server=False)
def log_in() -> ResponseReturnValue:
    """Have the browser ask for the admin's password, and show the live page."""
    require_admin()
    return redirect(url_for("live.page"), 303)
