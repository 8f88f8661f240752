"""CORS: pages of other origins may use the API, if the settings name their origins.

No credentials that a browser keeps are ever let through: another page has no rights of the admin.

Source: the Fetch standard, section 3.3.
"""

from collections.abc import Callable, Collection, Iterable

from flask import Flask, Response, request

from .preflight import has_no_view, is_preflight

METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"

SENT = ("Content-Type", "Idempotency-Key", "Last-Event-ID", "X-Request-ID")
"""Headers that a page may send, besides those that every page may."""

EXPOSED = ", ".join((
    "Location", "Retry-After", "RateLimit", "RateLimit-Policy", "X-RateLimit-Limit",
    "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-Request-ID",
))  # fmt: skip
"""Headers that a page may read, besides those that every page may."""

MAX_AGE_SECONDS = 600
"""How long a browser remembers the answer to a preflight."""


class CrossOrigin:
    """Tells browsers which pages may read an answer.

    Args:
        origins: As browsers write them.
        counted_by: Returns the names of the headers that rules count clients by.
    """

    def __init__(self, origins: Collection[str], counted_by: Callable[[], Iterable[str]]) -> None:
        self._origins = frozenset(origins)
        self._counted_by = counted_by

    def answer_preflight(self) -> Response | None:
        """Allow the request that a page wants to send, to whatever path; views may do so too."""
        has_view = request.url_rule is not None and not has_no_view(request)
        if not is_preflight(request) or not self._is_allowed() or has_view:
            return None
        headers = {
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": ", ".join((*SENT, *self._counted_by())),
            "Access-Control-Max-Age": str(MAX_AGE_SECONDS),
        }
        return Response(status=204, headers=headers)

    def tell(self, response: Response) -> Response:
        """Say that the page may read the answer, unless its view has said who may."""
        response.vary.add("Origin")
        if self._is_allowed() and "Access-Control-Allow-Origin" not in response.headers:
            response.headers["Access-Control-Allow-Origin"] = request.headers["Origin"]
            response.headers["Access-Control-Expose-Headers"] = EXPOSED
        return response

    def _is_allowed(self) -> bool:
        return request.headers.get("Origin") in self._origins


def init_app(app: Flask, origins: Collection[str], counted_by: Callable[[], Iterable[str]]) -> None:
    """Let pages of other origins in; called by ``create_app`` once the door is on the app.

    Args:
        app: The app; without origins, nothing is done to it.
        origins: As browsers write them.
        counted_by: Returns the names of the headers that rules count clients by.
    """
    if origins:
        cross_origin = CrossOrigin(origins, counted_by)
        app.before_request(cross_origin.answer_preflight)
        app.after_request(cross_origin.tell)
