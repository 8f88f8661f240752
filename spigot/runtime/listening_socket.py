"""The socket that a program of ours listens on."""

import socket
from contextlib import suppress
from random import SystemRandom

from .errors import OperatorError

QUIET_PORTS = range(20_000, 32_768)
"""Ports that systems give to nobody who asks for any: one of these stays free until it is used."""

TRIES = 100


class ListenError(OperatorError):
    """An address cannot be listened on; the message names it and says why."""


def listen(host: str, port: int, *, backlog: int = 2048) -> socket.socket:
    """Return a socket that listens on ``host`` and ``port``.

    Args:
        host: Name or address, IPv4 or IPv6.
        port: 0 lets the system choose a free one.
        backlog: Connections that may wait to be accepted.

    Raises:
        ListenError: The port is taken, or the address is not of this machine.
    """
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(backlog)
            return listener.dup()
    except OSError as error:
        raise ListenError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another address "
            "with HOST and PORT, or --host and --port"
        ) from error


def local_url(host: str, port: int) -> str:
    """Return the URL under which programs of this machine reach who listens there."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def free_port() -> int:
    """Return a port of the loopback address that nobody listens on at the moment.

    Raises:
        ListenError: None was found.
    """
    chance = SystemRandom()
    for _ in range(TRIES):
        port = chance.choice(QUIET_PORTS)
        with suppress(ListenError), listen("127.0.0.1", port):
            return port
    raise ListenError(f"no free port of 127.0.0.1 was found in {TRIES} tries")
