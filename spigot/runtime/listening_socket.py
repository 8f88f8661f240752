"""The socket that a program of ours listens on."""

import socket

from .errors import OperatorError


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
    """Return a port of the loopback address that nobody listens on at the moment."""
    with listen("127.0.0.1", 0) as listener:
        port: int = listener.getsockname()[1]
        return port
