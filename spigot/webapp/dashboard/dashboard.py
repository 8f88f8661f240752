"""rq-dashboard under ``/rq/``, for the admin only.

Its version 0.9 is mended from outside: ``dashboard_reading`` is how it reads, and
``dashboard_changes`` what its buttons do. Here is who may come in, and what leaves.
"""

import re
import secrets
from typing import Any

import rq_dashboard.web as rq_web
from flask import Flask, Response, abort, current_app, json, request, url_for
from markupsafe import escape
from redis import Redis
from rq.exceptions import NoSuchJobError
from werkzeug.exceptions import MethodNotAllowed

from spigot.jobs.store import keys
from spigot.webapp.http.admin import require_admin
from spigot.webapp.http.admin_change import require_admin_change
from spigot.webapp.http.page_security import secure_page
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem
from spigot.webapp.http.same_origin import SAFE_METHODS

from .changes import Changes, replace_changes
from .reading import PLACES, adapt_reading

URL_PREFIX = "/rq"
CHANGES_BY_GET = "rq_dashboard.requeue_all"

UNESCAPED = frozenset(
    {"rq_dashboard.job_info", "rq_dashboard.list_queues", "rq_dashboard.list_workers"}
)
"""Views whose strings its pages put into HTML as they are; a job's error is a stranger's text."""

QUEUE_NAME = re.compile(r"[\w.:@ -]{1,200}")
"""Its page of jobs puts the name from the address into a script, between quotes."""

INLINE_SCRIPT = '<script type="text/javascript">'
LARGEST_PAGE = 200
"""As its page allows, which the server does not ask."""


def init_app(app: Flask, redis: Redis, changes: Changes) -> None:
    """Mount the dashboard; called by ``create_app``.

    Args:
        app: Has an ``Admin``.
        redis: Connection for what it reads.
        changes: What its buttons work with.
    """
    adapt_reading()
    rq_web.from_url = _shared_connection  # its own opens one per request, and never times out
    app.redis_conn = redis  # type: ignore[attr-defined]
    app.config["RQ_DASHBOARD_REDIS_URL"] = ("the server of Spigot",)
    app.before_request(guard)
    app.after_request(harden)
    app.register_error_handler(NoSuchJobError, _no_such_job)
    app.register_blueprint(rq_web.blueprint, url_prefix=URL_PREFIX)
    replace_changes(app, changes)


def guard() -> None:
    """Let only the admin in."""
    if not _is_dashboard():
        return
    if request.method in SAFE_METHODS:
        require_admin()
    else:
        require_admin_change()
    if request.view_args is not None:
        request.view_args |= _checked(request.view_args)
    if request.endpoint == CHANGES_BY_GET and request.method != "POST":
        raise MethodNotAllowed(["POST"])


def harden(response: Response) -> Response:
    """Escape what the pages do not, and let them run no other script than their own."""
    if not _is_dashboard():
        return response
    if request.endpoint in UNESCAPED and response.status_code == 200:
        response.set_data(json.dumps(_escaped(response.get_json())))
    nonce = secrets.token_urlsafe()
    if response.mimetype == "text/html":
        _mark_scripts(response, nonce)
    return secure_page(
        response,
        script_src=f"'nonce-{nonce}' 'unsafe-eval'",  # underscore's templates are compiled
        style_src="'unsafe-inline'",
        img_src="data:",
    )


def _is_dashboard() -> bool:
    return request.path == URL_PREFIX or request.path.startswith(f"{URL_PREFIX}/")


def _checked(arguments: dict[str, Any]) -> dict[str, int]:
    """Return the numbers in an address within their bounds; refuse what its views fail at."""
    known = (
        arguments.get("instance_number", 0) == 0
        and arguments.get("registry_name", "queued") in PLACES
        and arguments.get("order", "asc") in ("asc", "dsc")
        and QUEUE_NAME.fullmatch(arguments.get("queue_name") or "default")
        and keys.JOB_ID.fullmatch(arguments.get("job_id", "a"))
    )
    numbers = {name: str(arguments[name]) for name in ("page", "per_page") if name in arguments}
    if not known or not all(re.fullmatch("[1-9][0-9]{0,8}", text) for text in numbers.values()):
        abort(404)
    bounds = {"page": 10**9, "per_page": LARGEST_PAGE}
    return {name: min(int(text), bounds[name]) for name, text in numbers.items()}


def _mark_scripts(response: Response, nonce: str) -> None:
    """Give the page's own script the nonce, and the page one that shows why a button failed."""
    text = response.get_data(as_text=True)
    text = text.replace(INLINE_SCRIPT, f'<script nonce="{nonce}">', 1)
    ours = f'<script src="{url_for("static", filename="dashboard.js")}"></script>'
    response.set_data(text.replace("</body>", f"{ours}</body>", 1))


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return str(escape(value))
    if isinstance(value, list):
        return [_escaped(item) for item in value]
    if isinstance(value, dict):
        return {_escaped(key): _escaped(item) for key, item in value.items()}
    return value


def _shared_connection(url: str, **_: Any) -> tuple[None, Redis]:
    return None, current_app.redis_conn  # type: ignore[attr-defined]


def _no_such_job(error: NoSuchJobError) -> Response:
    return problem(404, str(error), type=ProblemType.NO_SUCH_JOB)
