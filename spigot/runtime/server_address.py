"""How a server is named: reads its URL, strictly, and says what is wrong without quoting it.

redis-py reads a URL leniently: a port that is none, a number of a database that is none, and what
follows a ``#`` are passed over, and an option of any name goes to the connection. What is refused
here is told in words alone, because a password whose characters are not percent-encoded may be in
any part of what was read.
"""

import re
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import SplitResult, quote, unquote, urlsplit

from redis.connection import Connection, SSLConnection, UnixDomainSocketConnection

CONNECTIONS = {
    "redis": Connection,
    "rediss": SSLConnection,
    "unix": UnixDomainSocketConnection,
    "sentinel": Connection,
    "sentinels": SSLConnection,
}

SENTINEL_SCHEMES = ("sentinel", "sentinels")

FORM = "redis://[USER:PASSWORD@]HOST:PORT/DB"

ENCODE = (
    "percent-encode what is no letter or digit in user and password: "
    "@ is %40, : is %3A, / is %2F, ? is %3F, # is %23, [ is %5B, ] is %5D"
)


class ServerUrlError(ValueError):
    """A URL of a server cannot be used; the message says what to do, and quotes nothing of it."""


def parse_server_url(url: str) -> dict[str, Any]:
    """Return the options of redis-py's connection pool that a URL stands for.

    Those of ``sentinel://`` have ``sentinels`` in place of a host, which only the connections of
    ``spigot.runtime.server`` know.

    Args:
        url: ``redis://``, ``rediss://`` (TLS), ``unix://``, ``sentinel://`` or ``sentinels://``
            (TLS); user and password percent-encoded.

    Raises:
        ServerUrlError: It cannot be used.
    """
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in CONNECTIONS:
        raise ServerUrlError(f"must begin with {' or '.join(f'{name}://' for name in CONNECTIONS)}")
    hosts, parts = _split(scheme, rest)
    options = {"connection_class": CONNECTIONS[scheme], **_credentials(parts)}
    asked = _asked_for(parts.query, scheme)
    if scheme in SENTINEL_SCHEMES:
        from .sentinels import read_sentinels

        place = read_sentinels(hosts, parts.path, options | asked, tls=scheme == "sentinels")
        asked = {name: value for name, value in asked.items() if not name.startswith("sentinel_")}
    else:
        place = _socket_path(parts) if scheme == "unix" else _host_and_database(parts)
    for name in asked.keys() & (options | place).keys():
        raise ServerUrlError(f"gives {name} twice")
    return options | place | asked


def check_redis_url(url: object) -> None:
    """Check what a program gave as the argument ``redis_url``.

    Raises:
        ServerUrlError: It cannot be used; the message names the argument, as that of a setting
            names its variable.
    """
    if not isinstance(url, str):
        raise ServerUrlError(f"redis_url must be the text of a URL, not a {type(url).__name__}")
    try:
        parse_server_url(url)
    except ServerUrlError as error:
        raise ServerUrlError(f"redis_url=(hidden) cannot be used: {error}") from None


def _asked_for(query: str, scheme: str) -> dict[str, Any]:
    if not query:
        return {}
    from .server_url_options import query_options  # most URLs have none

    return query_options(query, scheme)


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


def _split(scheme: str, rest: str) -> tuple[str, SplitResult]:
    """Return the hosts, and the parts of the URL; Python knows no URL with several hosts."""
    if re.search(r"\s|[\x00-\x1f\x7f]", rest):
        raise ServerUrlError("has a space or a control character in it: percent-encode it")
    if "#" in rest:
        raise ServerUrlError(f"has a # in it: {ENCODE}")
    authority, rest_of_path = re.fullmatch(r"([^/?]*)(.*)", rest).groups()  # type: ignore[union-attr]
    if authority.count("@") > 1 or (authority and "@" not in authority and "@" in rest_of_path):
        raise ServerUrlError(f"has an @ where none can be: {ENCODE}")
    user, at, hosts = authority.rpartition("@")
    shown = "several" if scheme in SENTINEL_SCHEMES else hosts
    try:
        return hosts, urlsplit(f"{scheme}://{user}{at}{shown}{rest_of_path}")
    except ValueError:  # whose words quote the URL
        raise ServerUrlError(f"has a bracket where none can be: {ENCODE}") from None


def _credentials(parts: SplitResult) -> dict[str, str]:
    given = {"username": parts.username, "password": parts.password}
    return {name: unquote(value) for name, value in given.items() if value}


def _host_and_database(parts: SplitResult) -> dict[str, Any]:
    host, port = host_and_port(parts.netloc.rpartition("@")[2], FORM)
    place: dict[str, Any] = {}
    if host:
        place["host"] = host
    if port is not None:
        place["port"] = port
    if parts.path not in ("", "/"):
        place["db"] = number(parts.path[1:], "its database", 0)
    return place


def _socket_path(parts: SplitResult) -> dict[str, Any]:
    if parts.netloc.rpartition("@")[2] or parts.path in ("", "/"):
        raise ServerUrlError(
            f"names no socket: write unix:///PATH or unix://USER:PASSWORD@/PATH, and the number of "
            f"the database as ?db=N; {ENCODE}"
        )
    return {"path": unquote(parts.path)}


def host_and_port(address: str, form: str) -> tuple[str, int | None]:
    """Return a host, which may be empty, and its port if there is one.

    Args:
        address: ``HOST``, ``HOST:PORT``, or either with an IPv6 address in brackets.
        form: Of the whole URL, for the message.

    Raises:
        ServerUrlError: It is none of these.
    """
    found = re.fullmatch(r"(\[[^\]]+\]|[^:\[\]]*)(?::(.*))?", address)
    if found is None:
        raise ServerUrlError(f"has no host: write {form}, an IPv6 address as [::1]; {ENCODE}")
    host, port = found.groups()
    name = ipv6_address(host[1:-1]) if host.startswith("[") else unquote(host)
    return name, None if port is None else number(port, "its port", 1, 65535)


def ipv6_address(text: str) -> str:
    """Return an IPv6 address without percent-encoding.

    Raises:
        ServerUrlError: It is none.
    """
    try:
        IPv6Address(unquote(text))
    except ValueError:  # whose words quote the URL
        raise ServerUrlError("has brackets, but no IPv6 address in them") from None
    return unquote(text)


def number(text: str, what: str, least: int, most: int | None = None) -> int:
    """Return a number of a URL.

    Args:
        text: As it stands there.
        what: Its name in the message.
        least: The smallest that is allowed.
        most: The largest; None for any.

    Raises:
        ServerUrlError: It is none, or out of range.
    """
    if not re.fullmatch("[0-9]{1,9}", text) or int(text) < least or int(text) > (most or int(text)):
        allowed = f"from {least} to {most}" if most else f"of {least} or more"
        hint = "" if what.startswith("its option") else f"; {ENCODE}"
        raise ServerUrlError(f"{what} must be a number {allowed}{hint}")
    return int(text)
