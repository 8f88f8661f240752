"""The address that a request comes from, seen past our own proxies."""

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

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

LONGEST = 64
"""Characters of the longest text that is looked at: an IPv6 address and a zone."""


def client_address(
    peer: str | None, forwarded_for: str, trusted_proxies: Iterable[Network]
) -> Address | None:
    """Return the address nearest to us that is none of our proxies.

    Args:
        peer: The other end of the socket.
        forwarded_for: The header ``X-Forwarded-For``. Anyone may write it, and each proxy appends
            the peer that it saw, so only what our own proxies appended is believed.
        trusted_proxies: Networks of our proxies.

    Returns:
        None if the peer has no address, such as one on a Unix socket.
    """
    address = parse_address(peer or "")
    rest = forwarded_for
    while rest and is_within(address, trusted_proxies):
        rest, _, entry = rest.rpartition(",")
        hop = parse_address(entry.strip())
        if hop is None:
            break
        address = hop
    return address


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
