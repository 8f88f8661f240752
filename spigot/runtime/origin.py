"""The origin of a page, as browsers write it into the header ``Origin``.

Source: RFC 6454, section 6.2; the URL standard, section 4.4.
"""

import re
from ipaddress import IPv6Address

ORIGIN = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]*)://"
    r"(?P<host>[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[(?P<v6>[0-9a-f:.]+)\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)

DEFAULT_PORTS = {"http": 80, "https": 443}
"""Browsers leave them out."""


def parse_origin(text: str) -> str:
    """Return an origin as browsers write it: in small letters, without the scheme's own port.

    Raises:
        ValueError: The text is no origin, such as an address with a path, ``*`` or ``null``.
    """
    found = ORIGIN.fullmatch(text.lower()) if text.isascii() else None
    if found is None or not _is_port(found["port"]) or not _is_ipv6(found["v6"]):
        raise ValueError(
            f"{text!r} is no origin: write scheme://host or scheme://host:port, without a path, "
            "such as https://app.example"
        )
    scheme, host, v6, port = found.groups()
    place = f"{scheme}://[{IPv6Address(v6)}]" if v6 else f"{scheme}://{host}"
    is_default = port is None or int(port) == DEFAULT_PORTS.get(scheme)
    return place if is_default else f"{place}:{int(port)}"


def _is_port(text: str | None) -> bool:
    return text is None or 1 <= int(text) <= 65_535


def _is_ipv6(text: str | None) -> bool:
    try:
        return text is None or bool(IPv6Address(text).packed)
    except ValueError:
        return False
