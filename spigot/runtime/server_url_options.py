"""The options that may follow a server's URL after a ``?``."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from .server_address import ENCODE, SENTINEL_SCHEMES, ServerUrlError, number

TLS_SCHEMES = ("rediss", "sentinels")

SET_BY_SPIGOT = re.compile(
    "charset|decode_responses|encoding.*|legacy_responses|max_connections|protocol|retry.*"
    "|single_connection_client|socket_connect_timeout|socket_timeout|timeout"
)
"""Options of redis-py that Spigot sets itself, or that would change what it reads."""


def query_options(query: str, scheme: str) -> dict[str, Any]:
    """Return the options of redis-py that a query stands for, and those of the sentinels.

    Args:
        query: What follows the ``?``.
        scheme: Of the URL.

    Raises:
        ServerUrlError: One is unknown, Spigot's own, given twice, or wrong.
    """
    pairs = parse_qsl(query, keep_blank_values=True)
    options: dict[str, Any] = {}
    for name, value in pairs:
        if name in options:
            raise ServerUrlError(f"gives {name} twice")
        if name not in OPTIONS:
            raise ServerUrlError(_why_not(name, query))
        if name.startswith("ssl_") and scheme not in TLS_SCHEMES:
            raise ServerUrlError(
                f"has the option {name}, which only rediss:// or sentinels:// can have"
            )
        if name.startswith("sentinel_") and scheme not in SENTINEL_SCHEMES:
            raise ServerUrlError(f"has the option {name}, which only sentinel:// can have")
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


def _text(text: str, what: str) -> str:
    return text


def _count(text: str, what: str) -> int:
    return number(text, what, 0)


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
    "sentinel_username": _text,
    "sentinel_password": _text,
    "client_name": _text,
    "health_check_interval": _count,
    "socket_keepalive": _yes_or_no,
    "socket_read_size": lambda text, what: number(text, what, 1),
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
