"""Whether a client wants a page or JSON, where an address has both.

Source: RFC 9110, section 12.5.1.
"""

from flask import Request, Response


def wants_page(request: Request) -> bool:
    """Return whether a client names HTML before JSON; ``*/*`` and no ``Accept`` mean JSON."""
    accept = request.accept_mimetypes
    named = {name.lower() for name, quality in accept if quality > 0}
    return "text/html" in named and accept["text/html"] > accept["application/json"]


def with_vary(response: Response) -> Response:
    """Say that the answer depends on ``Accept``, and let nobody keep it."""
    response.vary.add("Accept")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response
