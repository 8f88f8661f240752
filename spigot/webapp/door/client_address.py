"""The address that a request comes from, seen past our own proxies."""

import re
from collections.abc import Iterable
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import NamedTuple

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST = 80
"""Characters of the longest text that is looked at: an IPv6 address, a zone, a port."""

HOP = re.compile(r"(?:\[([^\[\]]+)\]|([0-9.]+))(?::([0-9]{1,5}))?")
"""An address in brackets or with a port. Source: RFC 7239, section 6; RFC 3986, section 3.2.2."""

MAX_PORT = 65_535


class Trace(NamedTuple):
    """How far a request can be followed back.

    Attributes:
        address: The address nearest to us that is none of our proxies; None: the peer has none.
        proxies: How many proxies of ours it came through, as far as they can be followed.
        unread: What our proxies wrote of whoever is behind ``address``, if that is no address.
    """

    address: Address | None
    proxies: int = 0
    unread: str = ""


def follow_back(peer: str | None, forwarded_for: str, trusted_proxies: Iterable[Network]) -> Trace:
    """Follow a request back past our proxies.

    Args:
        peer: The other end of the socket.
        forwarded_for: The header ``X-Forwarded-For``. Anyone may write it, and each proxy appends
            the peer that it saw, so only what our own proxies appended is believed.
        trusted_proxies: Networks of our proxies.
    """
    address = parse_address(peer or "")
    rest, proxies = forwarded_for, 0
    while is_within(address, trusted_proxies):
        proxies += 1
        if not rest:
            break
        before, _, entry = rest.rpartition(",")
        hop = parse_hop(entry.strip(" \t"))
        if hop is None:
            return Trace(address, proxies, unread=rest)
        rest, address = before, hop
    return Trace(address, proxies)


def parse_hop(text: str) -> Address | None:
    """Read an address as proxies write it: bare, in brackets, with a port, in quotes.

    Returns:
        None if the text is none, such as the words ``unknown`` and ``_hidden`` of RFC 7239.
    """
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = text[1:-1]
    found = HOP.fullmatch(text) if len(text) <= LONGEST else None
    if found is None:
        return parse_address(text)
    bracketed, plain, port = found.groups()
    return parse_address(bracketed or plain) if int(port or 0) <= MAX_PORT else None


def parse_address(text: str) -> Address | None:
    """Read an address; an IPv4-mapped one is the IPv4 address, a zone is dropped.

    Returns:
        None if the text is none.
    """
    return _parse(text) if len(text) <= LONGEST else None


@lru_cache(maxsize=4096)
def _parse(text: str) -> Address | None:
    try:
        address = ip_address(text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


def parse_network(text: str) -> Network:
    """Read an address or a CIDR; an IPv4-mapped one is IPv4.

    Raises:
        ValueError: The text is neither.
    """
    network = ip_network(text, strict=False)
    mapped = parse_address(str(network.network_address))
    if network.version == 6 and network.prefixlen >= 96 and isinstance(mapped, IPv4Address):
        return IPv4Network((mapped, network.prefixlen - 96))
    return network


def is_within(address: Address | None, networks: Iterable[Network]) -> bool:
    """Return whether one of ``networks`` holds the address."""
    return address is not None and any(address in network for network in networks)
