"""The network in front of one server, which may drop the packets of some hosts."""

import selectors
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass

CHUNK_BYTES = 1 << 16
LOOK_SECONDS = 0.05


@dataclass(frozen=True, eq=False)
class _End:
    """One end of a connection through the cable.

    Attributes:
        host: Address of the client, at both ends.
        source: What comes from here
        target: goes there.
    """

    host: str
    source: socket.socket
    target: socket.socket


class Cable:
    """Passes everything on between a port of its own and one of this machine.

    Packets that are dropped come late, as TCP sends them again: nothing is closed, and connections
    can be made; but nothing comes through, in either direction, until they are dropped no longer.

    Args:
        target: The server's port.

    Attributes:
        port: What clients are told.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self._dropped: frozenset[str] = frozenset()
        self._held: list[_End] = []
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def drop(self, *hosts: str) -> None:
        """Drop all packets from and to clients of these addresses, and of no others."""
        self._dropped = frozenset(hosts)

    def close(self) -> None:
        """Cut all connections, and take no new ones."""
        self._open = False
        self._thread.join()

    def _run(self) -> None:
        while self._open:
            self._take_up()
            for key, _ in self._selector.select(LOOK_SECONDS):
                if key.data is None:
                    self._accept()
                elif key.fileobj.fileno() >= 0:  # not closed with its other end just now
                    self._pass_on(key.data)
        for end in [key.data for key in self._selector.get_map().values() if key.data] + self._held:
            end.source.close()
        self._selector.close()
        self._listener.close()

    def _take_up(self) -> None:
        """Read again from those that were held."""
        held, self._held = self._held, []
        for end in held:
            if end.host in self._dropped:
                self._held.append(end)
            elif end.source.fileno() >= 0:
                self._selector.register(end.source, selectors.EVENT_READ, end)

    def _accept(self) -> None:
        client, (host, _) = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self._target))
        except OSError:
            client.close()
            return
        for end in (_End(host, client, server), _End(host, server, client)):
            self._selector.register(end.source, selectors.EVENT_READ, end)

    def _pass_on(self, end: _End) -> None:
        if end.host in self._dropped:
            self._selector.unregister(end.source)
            self._held.append(end)
            return
        data = b""
        with suppress(OSError):
            data = end.source.recv(CHUNK_BYTES)
            end.target.sendall(data)
        if not data:
            for socket_ in (end.source, end.target):
                with suppress(KeyError, ValueError):
                    self._selector.unregister(socket_)
                socket_.close()
