"""How a server is named: reads its URL, strictly, and says what is wrong without quoting it.

redis-py reads a URL leniently: a port that is none, a number of a database that is none, and what
follows a ``#`` are passed over, and an option of any name goes to the connection. What is refused
here is told in words alone, because a password whose characters are not percent-encoded may be in
any part of what was read.
"""

import re
from collections.abc import Callable
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

CONNECTIONS = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixDomainSocketConnection,
}

ENCODE = (
    "percent-encode what is no letter or digit in user and password: "
    "@ is %40, : is %3A, / is %2F, ? is %3F, # is %23, [ is %5B, ] is %5D"
)

SET_BY_SPIGOT = re.compile(
    "charset|decode_responses|encoding.*|legacy_responses|max_connections|protocol|retry.*"
    "|single_connection_client|socket_connect_timeout|socket_timeout|timeout"
)
"""Options of redis-py that Spigot sets itself, or that would change what it reads."""


class ServerUrlError(ValueError):
    """A URL of a server cannot be used; the message says what to do, and quotes nothing of it."""


def parse_server_url(url: str) -> dict[str, Any]:
    """Return the options of redis-py's connection pool that a URL stands for.

    Args:
        url: ``redis://``, ``rediss://`` (TLS) or ``unix://``; user and password percent-encoded.

    Raises:
        ServerUrlError: It cannot be used.
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in CONNECTIONS:
        raise ServerUrlError(f"must begin with {' or '.join(f'{name}://' for name in CONNECTIONS)}")
    parts = _split(scheme, rest)
    options = {"connection_class": CONNECTIONS[scheme], **_credentials(parts)}
    place = _socket_path(parts) if scheme == "unix" else _host_and_database(parts)
    asked = _query_options(parts.query, scheme)
    for name in asked.keys() & (options | place).keys():
        raise ServerUrlError(f"gives {name} twice")
    return options | place | asked


def with_password(url: str, password: str | None) -> str:
    """Return a URL with a password, percent-encoded, unless there is none or it has one already.

    Raises:
        ServerUrlError: The URL cannot be used.
    """
    if not password or "password" in parse_server_url(url):
        return url
    scheme, _, rest = url.strip().partition("://")
    authority = re.split("[/?]", rest, maxsplit=1)[0]
    user, _, host = authority.rpartition("@")
    secret = quote(password, safe="")
    return f"{scheme}://{user.rstrip(':')}:{secret}@{host}{rest[len(authority) :]}"


def _split(scheme: str, rest: str) -> SplitResult:
    if re.search(r"\s|[\x00-\x1f\x7f]", rest):
        raise ServerUrlError("has a space or a control character in it: percent-encode it")
    if "#" in rest:
        raise ServerUrlError(f"has a # in it: {ENCODE}")
    authority, rest_of_path = re.fullmatch(r"([^/?]*)(.*)", rest).groups()  # type: ignore[union-attr]
    if authority.count("@") > 1 or (authority and "@" not in authority and "@" in rest_of_path):
        raise ServerUrlError(f"has an @ where none can be: {ENCODE}")
    try:
        return urlsplit(f"{scheme}://{rest}")
    except ValueError:  # whose words quote the URL
        raise ServerUrlError(f"has a bracket where none can be: {ENCODE}") from None


def _credentials(parts: SplitResult) -> dict[str, str]:
    given = {"username": parts.username, "password": parts.password}
    return {name: unquote(value) for name, value in given.items() if value}


def _host_and_database(parts: SplitResult) -> dict[str, Any]:
    address = parts.netloc.rpartition("@")[2]
    found = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]*)(?::(.*))?", address)
    if found is None:
        raise ServerUrlError(
            f"has no host: write redis://[USER:PASSWORD@]HOST:PORT/DB, an IPv6 address as [::1]; "
            f"{ENCODE}"
        )
    host, port = found.groups()
    place: dict[str, Any] = {}
    if host.startswith("["):
        place["host"] = _ipv6_address(host[1:-1])
    elif host:
        place["host"] = unquote(host)
    if port is not None:
        place["port"] = _number(port, "its port", 1, 65535)
    if parts.path not in ("", "/"):
        place["db"] = _number(parts.path[1:], "its database", 0)
    return place


def _ipv6_address(text: str) -> str:
    try:
        IPv6Address(unquote(text))
    except ValueError:  # whose words quote the URL
        raise ServerUrlError("has brackets, but no IPv6 address in them") from None
    return unquote(text)


def _socket_path(parts: SplitResult) -> dict[str, Any]:
    if parts.netloc.rpartition("@")[2] or parts.path in ("", "/"):
        raise ServerUrlError(
            f"names no socket: write unix:///PATH or unix://USER:PASSWORD@/PATH, and the number of "
            f"the database as ?db=N; {ENCODE}"
        )
    return {"path": unquote(parts.path)}


def _query_options(query: str, scheme: str) -> dict[str, Any]:
    pairs = parse_qsl(query, keep_blank_values=True)
    options: dict[str, Any] = {}
    for name, value in pairs:
        if name in options:
            raise ServerUrlError(f"gives {name} twice")
        if name not in OPTIONS:
            raise ServerUrlError(_why_not(name, query))
        if name.startswith("ssl_") and scheme != "rediss":
            raise ServerUrlError(f"has the option {name}, which only rediss:// can have")
        if not value:
            raise ServerUrlError(f"has the option {name} without a value")
        options[name] = OPTIONS[name](value, f"its option {name}")
    return options


def _why_not(name: str, query: str) -> str:
    if "@" in query or not re.fullmatch("[a-z_]{1,40}", name):
        return f"has a ? where none can be, or an unknown option: {ENCODE}"
    if SET_BY_SPIGOT.fullmatch(name):
        return f"has the option {name}, which Spigot sets itself: leave it out"
    return f"has the option {name}, which is not known; known: {', '.join(OPTIONS)}"


def _number(text: str, what: str, least: int, most: int | None = None) -> int:
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least or int(text) > (most or int(text)):
        allowed = f"from {least} to {most}" if most else f"of {least} or more"
        hint = "" if what.startswith("its option") else f"; {ENCODE}"
        raise ServerUrlError(f"{what} must be a number {allowed}{hint}")
    return int(text)


def _text(text: str, what: str) -> str:
    return text


def _count(text: str, what: str) -> int:
    return _number(text, what, 0)


def _yes_or_no(text: str, what: str) -> bool:
    word = text.lower()
    if word not in ("true", "yes", "1", "false", "no", "0"):
        raise ServerUrlError(f"{what} must be true or false")
    return word in ("true", "yes", "1")


def _cert_reqs(text: str, what: str) -> str:
    if text not in ("none", "optional", "required"):
        raise ServerUrlError(f"{what} must be none, optional or required")
    return text


OPTIONS: dict[str, Callable[[str, str], Any]] = {
    "db": _count,
    "username": _text,
    "password": _text,
    "client_name": _text,
    "health_check_interval": _count,
    "socket_keepalive": _yes_or_no,
    "socket_read_size": lambda text, what: _number(text, what, 1),
    "ssl_ca_certs": _text,
    "ssl_ca_path": _text,
    "ssl_ca_data": _text,
    "ssl_certfile": _text,
    "ssl_keyfile": _text,
    "ssl_password": _text,
    "ssl_cert_reqs": _cert_reqs,
    "ssl_check_hostname": _yes_or_no,
    "ssl_min_version": _count,
    "ssl_ciphers": _text,
}
"""The options in the query that may be set, and what reads their values."""
