"""The server that ``spigot up`` runs for itself when ``REDIS_URL`` is not set."""

import re
import secrets
import signal
import subprocess
from pathlib import Path

from redis.exceptions import RedisError

from spigot.runtime.errors import OperatorError
from spigot.runtime.listening_socket import free_port
from spigot.runtime.server.redis_connection import connect, is_away

from .child import Child
from .server_program import ServerProgram

LOG = "server.log"
STOP_SECONDS = 5.0
CONFIGURATION = """\
bind 127.0.0.1
port {port}
requirepass {password}
daemonize no
loglevel warning
logfile {log}
save ""
appendonly yes
maxmemory-policy noeviction
"""


class EmbeddedServerError(OperatorError):
    """The embedded server did not start; the message has its reason."""


class EmbeddedServer:
    """A server of our own: on the loopback address only, with a password, with files that last.

    Args:
        program: What to run.
        data_dir: Holds a folder for each engine, because one cannot read another's files.
    """

    def __init__(self, program: ServerProgram, data_dir: Path) -> None:
        self.program = program
        self.folder = data_dir / f"{program.engine}-{program.version[0]}"
        self._port = free_port()
        self._password = secrets.token_urlsafe(24)
        self.url = f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def child(self, lock: int) -> Child:
        """Return how to run it.

        Args:
            lock: Descriptor of the locked file (``ServerUrlFile``); the server keeps it open, so
                that its files stay locked for as long as it lives.

        Raises:
            EmbeddedServerError: Its folder cannot be made.
        """
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.folder / LOG).unlink(missing_ok=True)
        except OSError as error:
            raise EmbeddedServerError(
                f"the embedded server cannot use {self.folder}: {error.strerror}"
            ) from error
        return Child(
            name="the embedded server",
            command=[self.program.path, "-"],
            stop_seconds=STOP_SECONDS,
            death_signal=signal.SIGTERM,  # it takes the process that rewrites its files with it
            stdin=CONFIGURATION.format(port=self._port, password=self._password, log=LOG).encode(),
            options={"cwd": self.folder, "stdout": subprocess.DEVNULL, "pass_fds": [lock]},
        )

    def answers(self) -> bool:
        """Return whether it serves; it does not while it loads its files."""
        try:
            with connect(self.url, timeout=1) as redis:
                return bool(redis.ping())
        except RedisError as error:
            if is_away(error):
                return False
            raise

    def log_tail(self) -> str:
        """Return the last line of its log, without time and process id."""
        try:
            lines = (self.folder / LOG).read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return "it left no log"
        return re.sub(r"^.*? [.*#-] ", "", lines[-1]) if lines else "it logged nothing"

    def folders_of_other_engines(self) -> list[Path]:
        """Return the folders beside its own; jobs may wait there that it cannot see."""
        others = {path.parent for path in self.folder.parent.glob("*-*/appendonlydir")}
        return sorted(others - {self.folder})
