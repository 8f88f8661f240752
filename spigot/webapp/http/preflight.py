"""Preflights: what browsers ask before a page of another origin may send a request.

Source: the Fetch standard, section 3.3.3.
"""

from flask import Request


def is_preflight(request: Request) -> bool:
    """Return whether a request is a preflight."""
    return (
        request.method == "OPTIONS"
        and "Origin" in request.headers
        and "Access-Control-Request-Method" in request.headers
    )


def has_no_view(request: Request) -> bool:
    """Return whether Flask answers a request for OPTIONS by itself, without running a view."""
    return bool(getattr(request.url_rule, "provide_automatic_options", False))
