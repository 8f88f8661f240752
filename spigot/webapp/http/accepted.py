"""Whether a client wants a page or JSON, where an address has both.

Source: RFC 9110, section 12.5.1.
"""

from flask import Request, Response

PAGE, JSON = "text/html", "application/json"


def wants_page(request: Request) -> bool:
    """Return whether a client names HTML before JSON; ``*/*`` and no ``Accept`` mean JSON.

    Of two that the client likes as much, the one that stands first counts.
    """
    accept = request.accept_mimetypes
    named = [name.lower() for name, quality in accept if quality > 0]
    if PAGE not in named:
        return False
    if accept[PAGE] != accept[JSON]:
        return accept[PAGE] > accept[JSON]
    return JSON not in named or named.index(PAGE) < named.index(JSON)


def with_vary(response: Response) -> Response:
    """Say that the answer depends on ``Accept``, and let nobody keep it."""
    response.vary.add("Accept")
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Robots-Tag"] = "noindex"
    return response
