"""Parts of a server's URL: hosts, ports and numbers, and what is wrong with them."""

import re
from ipaddress import IPv6Address
from urllib.parse import unquote

ENCODE = (
    "percent-encode what is no letter or digit in user and password: "
    "@ is %40, : is %3A, / is %2F, ? is %3F, # is %23, [ is %5B, ] is %5D"
)


class ServerUrlError(ValueError):
    """A URL of a server cannot be used; the message says what to do, and quotes nothing of it."""


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
