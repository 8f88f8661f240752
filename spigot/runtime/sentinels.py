"""The sentinels of a URL: where they are, and which primary they are asked for."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from .server_address import ENCODE, ServerUrlError, host_and_port, number

PORT = 26379
FORM = "sentinel://[USER:PASSWORD@]HOST:PORT,HOST:PORT/NAME/DB"


@dataclass(frozen=True, slots=True)
class Sentinels:
    """Whom to ask for a primary.

    Attributes:
        addresses: Host and port of each.
        name: By which they know the primary.
        credentials: Options of redis-py with which they are asked.
        tls: The same for TLS; None without it.
    """

    addresses: tuple[tuple[str, int], ...]
    name: str
    credentials: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    tls: tuple[tuple[str, Any], ...] | None = field(default=None, repr=False)


def read_sentinels(hosts: str, path: str, options: dict[str, Any], *, tls: bool) -> dict[str, Any]:
    """Return the options of a connection to the primary that the sentinels of a URL know.

    Args:
        hosts: Of the sentinels, separated by commas.
        path: What follows them: the primary's name and the number of the database.
        options: What else the URL says. User and password are those of the primary, and of the
            sentinels unless ``sentinel_username`` or ``sentinel_password`` is given.
        tls: Whether they speak TLS, and the primary too.

    Raises:
        ServerUrlError: They cannot be used.
    """
    name, _, database = path[1:].partition("/")
    if not name:
        raise ServerUrlError(
            f"names no primary: write {FORM}, with the name that the sentinels know it by; {ENCODE}"
        )
    addresses = tuple(_address(host) for host in hosts.split(","))
    if len(set(addresses)) < len(addresses):
        raise ServerUrlError("names a sentinel twice")
    secured = sorted((key, value) for key, value in options.items() if key.startswith("ssl_"))
    sentinels = Sentinels(
        addresses, unquote(name), _credentials(options), tuple(secured) if tls else None
    )
    return {
        "sentinels": sentinels,
        **({"db": number(database, "its database", 0)} if database else {}),
    }


def _address(text: str) -> tuple[str, int]:
    host, port = host_and_port(text, FORM)
    if not host:
        raise ServerUrlError(f"has no host between two commas: write {FORM}; {ENCODE}")
    return host, PORT if port is None else port


def _credentials(options: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    own = {
        name: options[f"sentinel_{name}"]
        for name in ("username", "password")
        if f"sentinel_{name}" in options
    }
    shared = {name: options[name] for name in ("username", "password") if name in options}
    return tuple(sorted((own or shared).items()))
