"""Whether a request comes from a page of this server, or from that of another site.

A browser sends the admin's password and cookie with requests of foreign pages too, so every
change with the admin's rights asks this first.
"""

from flask import Request

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def is_same_origin(request: Request) -> bool:
    """Return whether no page of another origin sent the request.

    Source: Go 1.25, net/http, CrossOriginProtection. A client that sends neither of the two
    headers is no browser.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in ("same-origin", "none")
    origin = request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == request.host


def is_foreign_change(request: Request) -> bool:
    """Return whether a page of another site wants to change something."""
    return request.method not in SAFE_METHODS and not is_same_origin(request)
