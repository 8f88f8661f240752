"""Hosts that are network namespaces of this machine, joined by a bridge."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

from laboratory import python_environment

MARK = "SPIGOT_HOSTS_INSIDE"
OWN_ADDRESS = "10.77.0.254"
BRIDGE = "br0"
STOP_SECONDS = 20


def inside() -> bool:
    """Return whether this process has a network of its own, in which it may do as it likes."""
    return MARK in os.environ


def install_faketime(folder: Path) -> Path:
    """Install libfaketime on its own; return the path of the library."""
    python_environment(folder / "faketime", "libfaketime")
    (found,) = (folder / "faketime").rglob("libfaketime.so.1")
    return found


class Network:
    """A bridge, and what is connected to it. Leaves nothing behind: it ends with this process."""

    def __init__(self) -> None:
        self._hosts: dict[str, subprocess.Popen[bytes]] = {}
        self._programs: list[subprocess.Popen[bytes]] = []

    @staticmethod
    def run_inside(arguments: list[str], faketime: str) -> int:
        """Run this program again with a network of its own; return its exit code."""
        whose = [] if os.geteuid() == 0 else ["--map-root-user"]
        command = ["unshare", "--net", *whose, "--fork", "--kill-child", sys.executable]
        return subprocess.call(
            [*command, *arguments, "--faketime", faketime], env={**os.environ, MARK: "1"}
        )

    def __enter__(self) -> Self:
        _ip("link", "set", "lo", "up")
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("address", "add", f"{OWN_ADDRESS}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        return self

    def __exit__(self, *_: object) -> None:
        for program in self._programs:
            program.terminate()
        for program in self._programs:
            program.wait(STOP_SECONDS)
        for holder in self._hosts.values():
            holder.kill()
            holder.wait()

    def add_host(self, address: str) -> None:
        """Connect a new host to the bridge."""
        holder = subprocess.Popen(["unshare", "--net", "sleep", "infinity"])
        self._hosts[address] = holder
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{holder.pid}/ns/net") == own:
            time.sleep(0.01)
        port = _port_of(address)
        _ip("link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", str(holder.pid))
        self.join(address)
        _ip("link", "set", port, "up")
        for arguments in (
            ["address", "add", f"{address}/24", "dev", "eth0"],
            ["link", "set", "eth0", "up"],
            ["link", "set", "lo", "up"],
        ):
            subprocess.run([*self._enter(address), "ip", *arguments], check=True)

    def run(
        self, address: str, command: list[str], environment: dict[str, str], output: Path
    ) -> None:
        """Run a program on a host, until the end of all."""
        with output.open("ab") as file:
            program = subprocess.Popen(
                [*self._enter(address), *command], env=environment, stdout=file, stderr=file
            )
        self._programs.append(program)

    def host_of(self, pid: int) -> str:
        """Return the address of the host that a process runs on."""
        network = os.readlink(f"/proc/{pid}/ns/net")
        (found,) = (
            address
            for address, holder in self._hosts.items()
            if os.readlink(f"/proc/{holder.pid}/ns/net") == network
        )
        return found

    def cut_off(self, address: str) -> None:
        """Let all packets from and to a host vanish; nothing is closed, and nobody is told."""
        _ip("link", "set", _port_of(address), "nomaster")

    def join(self, address: str) -> None:
        """Let them through again."""
        _ip("link", "set", _port_of(address), "master", BRIDGE)

    def reaches(self, address: str, port: int) -> bool:
        """Return whether something listens there."""
        try:
            socket.create_connection((address, port), timeout=1).close()
        except OSError:
            return False
        return True

    def _enter(self, address: str) -> list[str]:
        return ["nsenter", f"--net=/proc/{self._hosts[address].pid}/ns/net"]


def _port_of(address: str) -> str:
    return f"host{address.rpartition('.')[2]}"


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
