"""What our own proxies say of a request: its scheme, its host, the prefix that they cut off.

Without it redirects lose https, and below a prefix every address leads outside. A proxy that sets
one of the headers may pass the client's own on in the others, so each is checked as if the client
had written it.
"""

import re
from collections.abc import Callable, Iterable
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from flask import Flask, Response, request

from .client_address import Network, follow_back, parse_address, parse_network

LONGEST = 255
"""Characters of the longest host or prefix that is believed."""

PREFIX = re.compile(r"(/(?!\.\.?(?:/|$))[A-Za-z0-9._~-]+)+")
"""Whole segments without a percent sign, none of which is ``.`` or ``..``."""

HOST = re.compile(
    r"(?:(?P<name>(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?)|\[(?P<v6>[0-9A-Fa-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
"""Source: RFC 9110, section 7.2; RFC 3986, section 3.2.2."""


def init_app(app: Flask, trusted_proxies: Iterable[Network]) -> None:
    """Believe trusted proxies, and keep redirects within this server; called by ``create_app``.

    Args:
        app: Its environment is changed for requests from trusted proxies, and for no others.
        trusted_proxies: Networks of our proxies.
    """
    proxies = tuple(parse_network(str(network)) for network in trusted_proxies)
    if proxies:
        app.wsgi_app = _believing(app.wsgi_app, proxies)  # type: ignore[assignment, method-assign]
    app.after_request(_stay_here)


def is_scheme(text: str) -> bool:
    """Return whether a proxy may say so in ``X-Forwarded-Proto``."""
    return text in ("http", "https")


def is_host(text: str) -> bool:
    """Return whether a text is a host with or without a port."""
    found = HOST.fullmatch(text) if len(text) <= LONGEST else None
    if found is None or not 0 < int(found["port"] or 1) < 2**16:
        return False
    return found["v6"] is None or parse_address(found["v6"]) is not None


def is_prefix(text: str) -> bool:
    """Return whether a text may stand in front of all paths."""
    return len(text) <= LONGEST and PREFIX.fullmatch(text) is not None


def _believing(serve: WSGIApplication, proxies: tuple[Network, ...]) -> WSGIApplication:
    def believing(environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        peer, forwarded_for = environ.get("REMOTE_ADDR"), environ.get("HTTP_X_FORWARDED_FOR", "")
        hops = follow_back(peer, forwarded_for, proxies).proxies
        if hops:
            _take_over(environ, hops)
        return serve(environ, start)

    return believing


def _take_over(environ: WSGIEnvironment, hops: int) -> None:
    if scheme := _said(environ, "PROTO", hops, is_scheme):
        environ["wsgi.url_scheme"] = scheme
    if host := _said(environ, "HOST", hops, is_host):
        environ["HTTP_HOST"] = host
    if prefix := _said(environ, "PREFIX", hops, is_prefix):
        environ["SCRIPT_NAME"] = prefix + environ.get("SCRIPT_NAME", "")


def _said(environ: WSGIEnvironment, name: str, hops: int, fits: Callable[[str], bool]) -> str:
    """Return what the proxy nearest to the client says, if it fits.

    Some proxies append to what they get, so of several values the one as far from the right as
    there are proxies of ours is the first that one of them wrote.
    """
    values = environ.get(f"HTTP_X_FORWARDED_{name}", "").split(",")
    value = values[-min(hops, len(values))].strip(" \t")
    return value if fits(value) else ""


def _stay_here(response: Response) -> Response:
    """Make a redirect to this server relative: the client chose the name that it calls us by."""
    location = response.location
    if not location:
        return response
    here = f"{request.scheme}://{request.host}/"
    if location.lower().startswith(here.lower()):
        response.location = "/" + location[len(here) :].lstrip("/\\")
    return response
