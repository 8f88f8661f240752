"""A proxy that keeps one answer of the server from whoever asked, and passes all else on."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

CHUNK_BYTES = 1 << 20


class HoldingProxy:
    """Holds back the first answer that is like one that was described, until it is let go.

    Each connection has threads of its own: what is held back stops no other.

    Args:
        server: Unix socket of the server.
        path: Unix socket to listen on.
        is_held: Returns whether what the server sent is to be held back.
    """

    def __init__(self, server: Path, path: Path, is_held: Callable[[bytes], object]) -> None:
        self.url = f"unix://{path}"
        self._server = server
        self._is_held = is_held
        self._holding, self._released = threading.Event(), threading.Event()
        self._ends: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def is_holding(self) -> bool:
        """Whether an answer was held back."""
        return self._holding.is_set()

    def release(self) -> None:
        """Let it go."""
        self._released.set()

    def close(self) -> None:
        """Cut all connections, and take no new ones."""
        self._released.set()
        for end in [self._listener, *self._ends]:
            with suppress(OSError):  # it was cut before
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            self._ends += [client, server]
            for source, target in ((client, server), (server, client)):
                answers = source is server
                pass_on = threading.Thread(
                    target=self._pass_on, args=(source, target, answers), daemon=True
                )
                pass_on.start()

    def _pass_on(self, source: socket.socket, target: socket.socket, answers: bool) -> None:
        with suppress(OSError):  # either end has gone
            while data := source.recv(CHUNK_BYTES):
                if answers and not self._holding.is_set() and self._is_held(data):
                    self._holding.set()
                    self._released.wait()
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
