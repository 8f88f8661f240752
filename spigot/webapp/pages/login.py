"""Logging in by the link of ``spigot open``, and out again.

The link shows a page, and a button there spends it: whoever previews a link sends no POST.
"""

import logging

from flask import Blueprint, Flask, Response, abort, current_app, redirect, render_template, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response as BaseResponse

from spigot.webapp.http.admin import Admin, admin_in_words, has_session
from spigot.webapp.http.page_security import secure_page
from spigot.webapp.http.problems import problem
from spigot.webapp.http.same_origin import is_foreign_change
from spigot.webapp.http.sessions import SESSION_SECONDS, Sessions, session_cookie

SPENT = "this link was used, or is older than a minute: run `spigot open` again"

blueprint = Blueprint("login", __name__)

log = logging.getLogger(__name__)


def init_app(app: Flask) -> None:
    """Serve the routes; called by ``create_app``."""
    app.register_blueprint(blueprint)


@blueprint.get("/open/<token>")
def show(token: str) -> ResponseReturnValue:
    """Ask whether to log in; this spends nothing."""
    return _page(token) if _sessions().is_link(token) else _spent()


@blueprint.post("/open")
def log_in() -> ResponseReturnValue:
    """Spend the link on a session."""
    token = _sessions().begin(request.form.get("token", ""))
    if token is None:
        return _spent()
    log.info("%s logged in by a link of spigot open", admin_in_words())
    response = redirect(url_of_start(), 303)
    response.set_cookie(
        session_cookie(request),
        token,
        max_age=SESSION_SECONDS,
        path=request.script_root or "/",
        secure=request.is_secure,
        httponly=True,
        samesite="Lax",
    )
    return _private(response)


@blueprint.post("/logout")
def log_out() -> ResponseReturnValue:
    """End the session."""
    sessions = _sessions()
    if not has_session(request):
        raise Forbidden("there is no session to log out of")
    if is_foreign_change(request):
        raise Forbidden("a page of another site may not change anything here")
    sessions.end(request.cookies[session_cookie(request)])
    response = redirect(url_of_start(), 303)
    response.delete_cookie(session_cookie(request), path=request.script_root or "/")
    return _private(response)


def url_of_start() -> str:
    """Return where logging in and out leads: to the live page, whatever was asked for."""
    return f"{request.script_root}/"


def _sessions() -> Sessions:
    admin: Admin = current_app.extensions["admin"]
    return admin.sessions or abort(404)


def _page(token: str | None, status: int = 200) -> BaseResponse:
    text = render_template("open.html", token=token)
    return _private(secure_page(Response(text, status, mimetype="text/html")))


def _spent() -> BaseResponse:
    wants_page = "text/html" in request.headers.get("Accept", "")
    return _page(None, 403) if wants_page else _private(problem(403, SPENT))


def _private(response: BaseResponse) -> BaseResponse:
    response.headers["Cache-Control"] = "no-store"
    return response
