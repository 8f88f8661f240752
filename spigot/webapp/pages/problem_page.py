"""What a person sees of a request that was not served: the problem document as a page.

A browser names HTML before JSON, also where it sends a form. Whoever does not gets the document.
"""

import logging
from typing import Any, NamedTuple

from flask import Flask, Response, render_template, request, url_for
from werkzeug.exceptions import MethodNotAllowed, NotFound

from spigot.webapp.http.accepted import wants_page, with_vary
from spigot.webapp.http.admin import CHALLENGE, is_admin
from spigot.webapp.http.forms import is_form
from spigot.webapp.http.page_security import secure_page
from spigot.webapp.http.problem_types import ProblemType, uri_of_status
from spigot.webapp.http.problems import MEDIA_TYPE
from spigot.webapp.http.request_ids import REQUEST_ID
from spigot.webapp.http.same_origin import SAFE_METHODS

log = logging.getLogger(__name__)

HEADINGS = {
    ProblemType.NO_SUCH_JOB.uri: "There is no such job",
    ProblemType.NO_SUCH_BUCKET.uri: "There is no such bucket",
    ProblemType.NO_SUCH_FAILURE.uri: "There is no such group of failures",
    ProblemType.NOT_REPLICATED.uri: "The job may run all the same",
    uri_of_status(400): "This address cannot be understood",
    uri_of_status(401): "Log in first",
    uri_of_status(403): "This is not allowed",
    uri_of_status(404): "There is no page here",
    uri_of_status(405): "There is no page here",
    uri_of_status(429): "Too many requests",
    uri_of_status(500): "Something went wrong here",
}
"""By the kind of problem."""

FOR_THE_ADMIN = "This is for the admin"
CANNOT = "This cannot be shown now"
DONE_NOTHING = "Nothing was done"
KNOWN_AFTER_A_FORM = frozenset({401, 429, 500})
"""Statuses that say the same of a form as of an address; after others, it did nothing."""


class Way(NamedTuple):
    """Where a person can go on.

    Attributes:
        words: Of the link.
        url: Empty: the page itself, asked for again.
    """

    words: str
    url: str


def init_app(app: Flask) -> None:
    """Show problems to people as pages; called by ``create_app`` before other extensions.

    What is registered first is called last, so that the headers of others are there already.
    """
    app.after_request(_for_people)


def _for_people(response: Response) -> Response:
    if response.mimetype != MEDIA_TYPE:
        return response
    response.vary.add("Accept")  # or a cache would keep a document, such as one of 404, for people
    if not _is_asked_by_a_person():
        return response
    try:
        # an application's own document may leave out what RFC 9457 lets it
        told = {"type": "about:blank", "status": response.status_code, "detail": ""}
        text = _text(told | response.get_json(), response)
    except Exception:  # as of an application's login, which the page asks who looks
        log.exception("a problem is answered with its document, for there is no page of it")
        return response
    response.set_data(text)
    response.mimetype = "text/html"
    return with_vary(secure_page(response))


def _is_asked_by_a_person() -> bool:
    return wants_page(request) and (request.method in SAFE_METHODS or is_form())


def _text(told: dict[str, Any], response: Response) -> str:
    """Return the page; what stands in it costs nothing that may be away."""
    shown = {"failed_badge": "", "looks": request.method in SAFE_METHODS}
    if told["type"] == ProblemType.SERVER_AWAY.uri:
        return render_template("away.html", **shown)
    is_for_admin = response.www_authenticate.get("realm") == CHALLENGE.get("realm")
    return render_template(
        "problem.html",
        heading=FOR_THE_ADMIN if is_for_admin else _heading(told),
        is_for_admin=is_for_admin,
        status=told["status"],
        words=_words(told),
        allowed=response.headers.get("Allow", ""),
        request_id=request.environ[REQUEST_ID],
        ways=_ways(told, is_for_admin=is_for_admin),
        **shown,
    )


def _heading(told: dict[str, Any]) -> str:
    kind, status = told["type"], told["status"]
    looks = request.method in SAFE_METHODS
    if looks or status in KNOWN_AFTER_A_FORM or kind == ProblemType.NOT_REPLICATED.uri:
        return HEADINGS.get(kind) or HEADINGS.get(uri_of_status(status), CANNOT)
    return DONE_NOTHING


def _words(told: dict[str, Any]) -> str:
    """Return what the document says as a sentence; empty if the page says it better."""
    detail: str = told["detail"].rstrip(".")
    unsaid = (error.description.rstrip(".") for error in (NotFound, MethodNotAllowed))
    return "" if not detail or detail in unsaid else f"{detail[:1].upper()}{detail[1:]}."


def _ways(told: dict[str, Any], *, is_for_admin: bool) -> list[Way]:
    """Return where to go on, the best first."""
    again = [Way("Log in" if is_for_admin else "Load again", "")]
    helps = request.method in SAFE_METHODS and told["status"] in (401, 429, 500, 503)
    found = [*(again if helps else ()), *_ways_back(told)]
    return [*found, Way("To the overview", url_for("overview.page"))]


def _ways_back(told: dict[str, Any]) -> list[Way]:
    """Return the page that a button or a filter belongs to, if the viewer may see it."""
    arguments = request.view_args or {}
    missing = told["status"] == 404
    match request.blueprint:
        case "job" | "jobs_admin" if "job_id" in arguments and not missing:
            return [Way("To the job", url_for("job.show", job_id=arguments["job_id"]))]
        case "jobs_admin" if is_admin(request):
            return [Way("To all jobs", url_for("jobs_admin.index"))]
        case "buckets" if "name" in arguments and not missing:
            name = arguments["name"]
            return [Way(f"To the bucket {name}", url_for("buckets.show", name=name))]
        case "failures" | "clients" as page if is_admin(request):
            return [Way(f"To the {page}", url_for(f"{page}.index"))]
        case "docs_try":
            return [Way("To the forms", url_for("docs.page") + "#job-types")]
    return []
