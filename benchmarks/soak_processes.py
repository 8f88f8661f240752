"""The processes of a soak: each part is replaced when it has gone."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from statistics import median
from typing import Self

from spigot.runtime.listening_socket import free_port
from tests.support.processes import wait_for

ROOT = Path(__file__).parents[1]
STOP_SECONDS = 60
SAMPLE_SECONDS = 1.0


def children_of(pid: int) -> list[int]:
    """Return the children of a process; none if it has gone."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        found = [(task / "children").read_text().split() for task in tasks]
    except OSError:
        return []
    return [int(child) for each in found for child in each]


class Processes:
    """Two webs, a pair of workers and a pool.

    Args:
        url: Of the server.
        folder: Of their files.
        bucket: That the workers serve.

    Attributes:
        addresses: Of the webs.
        roots: The process of each part.
    """

    def __init__(self, url: str, folder: Path, bucket: str) -> None:
        self.addresses = [("127.0.0.1", free_port()) for _ in range(2)]
        self.roots: list[subprocess.Popen[bytes]] = []
        self._folder = folder
        self._sizes: dict[str, int] = {}
        (folder / "rate_limits.json").write_text("{}")
        (folder / "buckets.json").write_text(json.dumps({bucket: {"rate": "50/s"}}))
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": url,
            "SPIGOT_APPS": "tests.support.outcome_app",
            "SPIGOT_BUCKETS": str(folder / "buckets.json"),
            "SPIGOT_DATA_DIR": str(folder),
            "SPIGOT_RATE_LIMITS": str(folder / "rate_limits.json"),
            "SPIGOT_LEASE_SECONDS": "3",
            "SPIGOT_GRACE_SECONDS": "2",
            "SPIGOT_WAIT_REPLICAS": "2",
        }
        self._commands = [
            *(["web", "--port", str(port)] for _, port in self.addresses),
            ["worker", bucket, "--count", "2"],
            ["worker", bucket, "--concurrency", "8"],
        ]

    def __enter__(self) -> Self:
        self.roots = [self._start(command) for command in self._commands]
        wait_for(lambda: all(map(children_of, (root.pid for root in self.roots))), 60)
        return self

    def __exit__(self, *_: object) -> None:
        for root in self.roots:
            root.kill()  # their children die with them
            root.wait()

    def stop(self) -> dict[str, int]:
        """Stop all, and return the exit code of each part."""
        self._sizes = {
            log.name: len(log.read_text(errors="replace")) for log in self._folder.glob("*.out")
        }
        for root in self.roots:
            root.terminate()
        codes = [root.wait(STOP_SECONDS) for root in self.roots]
        return {
            " ".join(command): code for command, code in zip(self._commands, codes, strict=True)
        }

    def last_words(self) -> str:
        """Return what the parts logged since they were asked to stop, but for ends of jobs."""
        lines = [
            line
            for name, size in self._sizes.items()
            for line in (self._folder / name).read_text(errors="replace")[size:].splitlines()
            if '"job_status"' not in line
        ]
        return "\n".join(lines)

    def kill_child(self, choice: random.Random) -> bool:
        """Kill a process right below a root; False if there was none."""
        return _kill_one(children_of(choice.choice(self.roots).pid), choice)

    def kill_grandchild(self, choice: random.Random) -> bool:
        """Kill a process that runs jobs; False if there was none."""
        parents = [child for root in self.roots[2:] for child in children_of(root.pid)]
        return _kill_one([pid for parent in parents for pid in children_of(parent)], choice)

    def kill_root(self, choice: random.Random) -> None:
        """Kill a part, and start it again."""
        self._replace(choice.randrange(len(self.roots)), signal.SIGKILL)

    def stop_root(self, choice: random.Random) -> None:
        """Ask a part to stop, wait for it, and start it again."""
        self._replace(choice.randrange(len(self.roots)), signal.SIGTERM)

    def start_gone(self) -> None:
        """Start again what has ended, as an init system would: workers begin with a server only."""
        for number, root in enumerate(self.roots):
            if root.poll() is not None:
                self.roots[number] = self._start(self._commands[number])

    def _replace(self, number: int, how: signal.Signals) -> None:
        self.roots[number].send_signal(how)
        self.roots[number].wait(STOP_SECONDS)
        self.roots[number] = self._start(self._commands[number])

    def _start(self, command: list[str]) -> "subprocess.Popen[bytes]":
        with (self._folder / f"{command[0]}.out").open("ab") as output:
            return subprocess.Popen(
                [sys.executable, "-P", "-m", "spigot", *command],
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )


def _kill_one(pids: list[int], choice: random.Random) -> bool:
    if not pids:
        return False
    try:
        os.kill(choice.choice(sorted(pids)), signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True


MOST_GROWTH = {"MB": 1.25, "open files": 1.5, "processes": 1.5}
"""By how much the median of the last third may exceed the most of the first: all was up then."""


class Usage:
    """Samples what the processes hold: the largest memory, most open files, their number."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._samples: list[dict[str, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def __str__(self) -> str:
        told = (f"{first:.0f} to {last:.0f} {what}" for what, first, last in self._compared())
        return "most of the first to median of the last third: " + ", ".join(told)

    def faults(self) -> list[str]:
        """Return what has grown."""
        return [
            f"grew from {first:.0f} to {last:.0f} {what}"
            for what, first, last in self._compared()
            if last > first * MOST_GROWTH[what] + 1
        ]

    def _compared(self) -> list[tuple[str, float, float]]:
        third = max(1, len(self._samples) // 3)
        first, last = self._samples[:third], self._samples[-third:]
        return [
            (what, max(s[what] for s in first), median(s[what] for s in last))
            for what in MOST_GROWTH
        ]

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            pids = [root.pid for root in self._processes.roots]
            for pid in pids:
                pids += children_of(pid)
            seen = [usage for pid in pids if (usage := _usage_of(pid)) is not None]
            if seen:
                self._samples.append(
                    {
                        "MB": max(megabytes for megabytes, _ in seen),
                        "open files": max(files for _, files in seen),
                        "processes": len(pids),
                    }
                )


def _usage_of(pid: int) -> tuple[float, int] | None:
    """Return a process's resident memory in MB and its open files; None if it has gone."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        files = len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6, files
