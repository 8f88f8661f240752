"""A primary and its replica, and an address in front of them that leads to one of the two."""

import selectors
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from redis import Redis

from spigot.runtime.listening_socket import free_port

from .processes import wait_for
from .servers import start_server, wait_until_up


class Switch:
    """Leads new connections to one port of this machine, and leaves those open that there are.

    Args:
        target: The port.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._open = True
        self._passes = threading.Event()
        self._passes.set()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def cut(self, is_cut: bool) -> None:
        """Pass nothing on, and close nothing, as if packets were dropped; or go on again."""
        (self._passes.clear if is_cut else self._passes.set)()

    def close(self) -> None:
        """Cut all connections, and take no new ones."""
        self._passes.set()
        self._open = False
        self._thread.join()

    def _run(self) -> None:
        while self._open:
            for key, _ in self._selector.select(0.1):
                self._passes.wait()
                if key.data is None:
                    self._accept()
                elif key.fileobj.fileno() >= 0:  # not closed with its other end just now
                    self._pass_on(key.fileobj, key.data)
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        try:
            server = socket.create_connection(("127.0.0.1", self.target))
        except OSError:
            client.close()
            return
        self._selector.register(client, selectors.EVENT_READ, server)
        self._selector.register(server, selectors.EVENT_READ, client)

    def _pass_on(self, source: socket.socket, target: socket.socket) -> None:
        try:
            data = source.recv(1 << 16)
            target.sendall(data)
        except OSError:
            data = b""
        if not data:
            for end in (source, target):
                with suppress(KeyError):
                    self._selector.unregister(end)
                end.close()


class Pair:
    """Two servers behind one address.

    Args:
        new_ahead: Seconds that the clock of the replica is ahead of the primary's.

    Attributes:
        url: The address, which leads to the primary.
        direct_url: Of the first primary, past the address.
        old: The first primary.
        new: Its replica, until ``promote``.
    """

    def __init__(self, new_ahead: int = 0) -> None:
        self._ports = [free_port(), free_port()]
        clocks = zip(self._ports, (0, new_ahead), strict=True)
        self._processes = [_start(port, ahead) for port, ahead in clocks]
        self.old, self.new = (Redis(port=port) for port in self._ports)
        wait_until_up(f"redis://127.0.0.1:{self._ports[0]}")
        wait_until_up(f"redis://127.0.0.1:{self._ports[1]}")
        self.new.replicaof("127.0.0.1", self._ports[0])
        wait_for(lambda: self.new.info("replication")["master_link_status"] == "up")
        self._switch = Switch(self._ports[0])
        self.url = self._switch.url
        self.direct_url = f"redis://127.0.0.1:{self._ports[0]}/0"

    def demote(self) -> None:
        """Make the old primary a replica of the new, and leave the address as it is."""
        offset = self.old.info("replication")["master_repl_offset"]
        wait_for(lambda: self.new.info("replication")["slave_repl_offset"] >= offset)
        self.new.replicaof("NO", "ONE")
        self.old.replicaof("127.0.0.1", self._ports[1])

    def lead_to_new(self) -> None:
        """Let new connections come to the new primary; old ones stay where they are."""
        self._switch.target = self._ports[1]

    def hang_new(self, hangs: bool) -> None:
        """Let the replica answer nothing, or go on."""
        self._processes[1].send_signal(signal.SIGSTOP if hangs else signal.SIGCONT)

    def cut_off(self, is_cut: bool) -> None:
        """Let packets to and from the address vanish, or go on."""
        self._switch.cut(is_cut)

    def isolate_old(self) -> None:
        """Let the old one be a replica of nobody who is there: it hears nothing any more."""
        self.old.replicaof("127.0.0.1", free_port())

    def close(self) -> None:
        """Stop all of it."""
        self._switch.close()
        for process in self._processes:
            process.kill()
            process.wait()


@contextmanager
def pair_of_servers(new_ahead: int = 0) -> Iterator[Pair]:
    """Run a primary and a replica for one test."""
    pair = Pair(new_ahead)
    try:
        yield pair
    finally:
        pair.close()


def _start(port: int, ahead: int) -> "subprocess.Popen[bytes]":
    folder = Path(mkdtemp(prefix="spigot-"))
    options = ["--port", str(port), "--bind", "127.0.0.1", "--appendonly", "no"]
    options += ["--dir", str(folder), "--repl-diskless-sync-delay", "0"]
    return start_server(*options, ahead=ahead)
