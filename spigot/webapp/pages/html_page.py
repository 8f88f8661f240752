"""What every page has: its headers, and what it says while the server is away."""

from typing import Any

from flask import Response, render_template

from spigot.webapp.http.description import RETRY_AFTER, Answer
from spigot.webapp.http.page_security import secure_page
from spigot.webapp.http.problems import AWAY_RETRY_SECONDS

PAGE = Answer("A page.", str, "text/html")
AWAY_PAGE = Answer(
    "A page that says that the server does not answer.", str, "text/html", [RETRY_AFTER]
)


def html_page(template: str, status: int = 200, **values: Any) -> Response:
    """Return a page that nobody keeps: strangers and the admin see different ones.

    Args:
        template: Its file.
        status: HTTP status code.
        **values: What the template shows.
    """
    text = render_template(template, **values)
    response = secure_page(Response(text, status, mimetype="text/html"))
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response


def away_page() -> Response:
    """Return the page for the time in which the server that keeps the jobs cannot be asked."""
    response = html_page("away.html", 503, failed_badge="", looks=True)
    response.headers["Retry-After"] = str(AWAY_RETRY_SECONDS)
    return response
