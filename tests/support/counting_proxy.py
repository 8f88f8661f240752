"""A proxy between a worker and its server: a test can act at each round trip that is made."""

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Moment = Literal["asked", "answered"]
Act = Callable[[int, Moment], bool]
CHUNK_BYTES = 1 << 20


@dataclass(eq=False)
class _Link:
    client: socket.socket
    server: socket.socket
    waiting: list[int] = field(default_factory=list)


class CountingProxy:
    """Passes everything on, and counts what the clients ask: 1 for the first request.

    ``act`` is called in the proxy's thread when a request has come and was not yet passed on
    ("asked"), and when the server has done it and its answer was not yet passed on ("answered").

    Args:
        server: Unix socket of the server.
        path: Unix socket to listen on.
        act: Told the number of the request; if it returns False, the connection is cut instead
            of passing on what came.
    """

    def __init__(self, server: Path, path: Path, act: Act) -> None:
        self.count = 0
        self._server = server
        self._path = path
        self._act = act
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._open = True
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cut all connections, and take no new ones."""
        self._open = False
        self._thread.join()

    def _run(self) -> None:
        while self._open:
            for key, _ in self._selector.select(0.1):
                if key.data is None:
                    self._accept()
                elif key.fileobj.fileno() >= 0:  # not closed with its other end just now
                    self._pass_on(key.data, key.fileobj)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()
        self._path.unlink()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(str(self._server))
        except OSError:  # the server is away: so is the client's connection
            client.close()
            server.close()
            return
        link = _Link(client, server)
        self._selector.register(client, selectors.EVENT_READ, link)
        self._selector.register(server, selectors.EVENT_READ, link)

    def _pass_on(self, link: _Link, source: socket.socket) -> None:
        try:
            data = source.recv(CHUNK_BYTES)
            if not data:
                raise ConnectionError
            if source is link.client:
                self.count += 1
                link.waiting.append(self.count)
                self._let_through(self._act(self.count, "asked"))
                link.server.sendall(data)
            else:
                for number in link.waiting:
                    self._let_through(self._act(number, "answered"))
                link.waiting.clear()
                link.client.sendall(data)
        except OSError:
            self._cut(link)

    @staticmethod
    def _let_through(allowed: bool) -> None:
        if not allowed:
            raise ConnectionError

    def _cut(self, link: _Link) -> None:
        for end in (link.client, link.server):
            with suppress(KeyError):
                self._selector.unregister(end)
            end.close()
