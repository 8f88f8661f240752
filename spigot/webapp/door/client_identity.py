"""The names under which a client is counted.

An IPv4 client is its address. An IPv6 client is its prefix, because whoever has one address of a
network has all of them. A header's value is hashed: API keys do not belong into Redis.
"""

import logging
import re
from collections.abc import Iterable
from functools import lru_cache
from hashlib import sha256
from ipaddress import ip_network

from werkzeug.datastructures import Headers

from .client_address import Address, Network, Trace, follow_back, parse_address

log = logging.getLogger(__name__)

GLOBAL = "global"
UNKNOWN = "unknown"
"""All peers that have no address."""

COUNTED_BY_HEADER = re.compile(r"header:[!#$%&'*+.^_`|~0-9A-Za-z-]+")
HASH = re.compile(r"sha256:[0-9a-f]{32}")


class Client:
    """One client, under all the names that rules may count it by; compared by identity.

    Args:
        address: Where its requests come from; None: its peer has no address.
        ip: The name that stands for the address.
        headers: Header, such as ``header:x-api-key``, and name, of those that it sends.

    Attributes:
        names: The names that a ban may be on.
    """

    def __init__(
        self, address: Address | None, ip: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        self.address = address
        self.ip = ip
        self._headers = dict(headers)
        self.names = ip, *self._headers.values()

    def name(self, key: Iterable[str]) -> str:
        """Return the name under which a rule with this ``key`` counts the client."""
        return ",".join(
            part if part == GLOBAL else self._headers.get(part, self.ip) for part in key
        )


class ClientIdentity:
    """Tells who sends a request: the same object for like requests, while it is remembered.

    Args:
        trusted_proxies: Networks whose ``X-Forwarded-For`` is believed.
        ipv6_prefix: Bits of an IPv6 address that make a client, 1 to 128.
    """

    def __init__(self, trusted_proxies: Iterable[Network], ipv6_prefix: int) -> None:
        self._trusted_proxies = tuple(trusted_proxies)
        self._ipv6_prefix = ipv6_prefix
        self._has_warned = False
        self._remembered = lru_cache(maxsize=4096)(self._client)

    def of(self, peer: str | None, headers: Headers, keys: Iterable[str] = ()) -> Client:
        """Return the client of a request.

        Args:
            peer: The other end of the socket.
            headers: Of the request.
            keys: Headers that rules count by, such as ``header:x-api-key``.
        """
        address = self._follow_back(peer, headers).address
        sent = [(key, headers.get(key.removeprefix("header:"), "")) for key in keys]
        named = tuple([(key, name_of_header(key, value)) for key, value in sent if value])
        return self._remembered(address, named)

    def owner(self, peer: str | None, headers: Headers) -> str:
        """Return the name of whom something belongs to that no other client may have.

        Clients whose proxy hides their addresses are counted as one. They do not own as one: what
        the proxy wrote instead of the address is in the name.

        Args:
            peer: The other end of the socket.
            headers: Of the request.
        """
        seen = self._follow_back(peer, headers)
        name = name_of_address(seen.address, self._ipv6_prefix)
        return f"{name} for {seen.unread}" if seen.unread else name

    def _follow_back(self, peer: str | None, headers: Headers) -> Trace:
        forwarded_for = headers.get("X-Forwarded-For", "")
        seen = follow_back(peer, forwarded_for, self._trusted_proxies)
        if forwarded_for and not seen.proxies and not self._has_warned:
            self._warn_of_proxy(seen.address)
        return seen

    def _warn_of_proxy(self, address: Address | None) -> None:
        """Say once that a neighbour may be a proxy: strangers may write the header too."""
        if address is not None and address.is_private:
            self._has_warned = True
            log.warning(
                "X-Forwarded-For from %s is ignored: if that is a proxy of yours, trust it "
                "(SPIGOT_TRUSTED_PROXIES), or all who come through it are one client",
                address,
            )

    def _client(self, address: Address | None, named: tuple[tuple[str, str], ...]) -> Client:
        return Client(address, name_of_address(address, self._ipv6_prefix), named)


def name_of_address(address: Address | None, ipv6_prefix: int) -> str:
    """Return the name that an address is counted under.

    Args:
        address: None: the peer has none.
        ipv6_prefix: Bits of an IPv6 address that make a client, 1 to 128.
    """
    if address is None:
        return UNKNOWN
    if address.version == 4:
        return str(address)
    return str(ip_network((address, ipv6_prefix), strict=False))


def name_of_header(key: str, value: str) -> str:
    """Return the name that a header's value is counted under.

    Args:
        key: Such as ``header:x-api-key``.
        value: As WSGI passes it, a character per byte.
    """
    digest = sha256(value.encode("latin-1")).hexdigest()[:32]
    return f"{key}=sha256:{digest}"


def parse_client(text: str, ipv6_prefix: int) -> str:
    """Return the name of a client that an operator wrote, or copied from what was printed.

    Args:
        text: An IP, whose IPv6 address stands for its prefix, or ``header:NAME=VALUE``.
        ipv6_prefix: Bits of an IPv6 address that make a client, 1 to 128.

    Raises:
        ValueError: The text is neither.
    """
    key, _, value = text.partition("=")
    if value and COUNTED_BY_HEADER.fullmatch(key):
        if HASH.fullmatch(value):
            return f"{key.lower()}={value}"
        return name_of_header(key.lower(), value.encode().decode("latin-1"))
    address = parse_address(text.removesuffix(f"/{ipv6_prefix}") if ":" in text else text)
    if address is None:
        raise ValueError(f"{text!r} is no client: give an IP address or header:NAME=VALUE")
    return name_of_address(address, ipv6_prefix)
