"""The processes of a soak: each part is replaced when it has gone."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
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
    """Two webs, a pair of workers and a pool that are harmed; a web and a pool that live on.

    Args:
        url: Of the server.
        folder: Of their files.
        bucket: That the workers serve.

    Attributes:
        addresses: Of the webs.
        roots: The process of each part; the first ``HARMED`` are killed and stopped.
    """

    HARMED = 4

    def __init__(self, url: str, folder: Path, bucket: str) -> None:
        self.addresses = [("127.0.0.1", free_port()) for _ in range(3)]
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
        web, other_web, steady_web = (["web", "--port", str(port)] for _, port in self.addresses)
        workers, pool = ["worker", bucket, "--count", "2"], ["worker", bucket, "--concurrency", "8"]
        self._commands = [web, other_web, workers, pool, steady_web, pool]

    def __enter__(self) -> Self:
        self.roots = [self._start(command) for command in self._commands]
        wait_for(self._are_up, 60)
        return self

    def __exit__(self, *_: object) -> None:
        for root in self.roots:
            root.kill()  # their children die with them
            root.wait()

    def stop(self) -> dict[str, int]:
        """Stop all once all are up, and return the exit code of each part."""
        wait_for(self._are_up, 60)
        self._sizes = {
            log.name: len(log.read_text(errors="replace")) for log in self._folder.glob("*.out")
        }
        for root in self.roots:
            root.terminate()
        codes = [root.wait(STOP_SECONDS) for root in self.roots]
        return {
            f"part {number}, {' '.join(command)},": code
            for number, (command, code) in enumerate(zip(self._commands, codes, strict=True))
        }

    def _are_up(self) -> bool:
        """Return whether each part has children, and so obeys signals; start what has ended."""
        self.start_gone()
        return all(children_of(root.pid) for root in self.roots)

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
        return _kill_one(children_of(choice.choice(self._harmed()).pid), choice)

    def kill_grandchild(self, choice: random.Random) -> bool:
        """Kill a process that runs jobs; False if there was none."""
        parents = [child for root in self._harmed()[2:] for child in children_of(root.pid)]
        return _kill_one([pid for parent in parents for pid in children_of(parent)], choice)

    def kill_root(self, choice: random.Random) -> None:
        """Kill a part, and start it again."""
        self._replace(choice.randrange(self.HARMED), signal.SIGKILL)

    def stop_root(self, choice: random.Random) -> None:
        """Ask a part to stop, wait for it, and start it again."""
        self._replace(choice.randrange(self.HARMED), signal.SIGTERM)

    def start_gone(self) -> None:
        """Start again what has ended, as an init system would: workers begin with a server only."""
        for number, root in enumerate(self.roots):
            if root.poll() is not None:
                self.roots[number] = self._start(self._commands[number])

    def steady(self) -> list[int]:
        """Return the processes of the parts that are not harmed."""
        roots = [root.pid for root in self.roots[self.HARMED :]]
        return roots + [child for root in roots for child in children_of(root)]

    def _harmed(self) -> "list[subprocess.Popen[bytes]]":
        return self.roots[: self.HARMED]

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

MOST_CREEP = {"MB": 1.05, "open files": 1.05}
"""By how much it may exceed the median of the second third, in a soak of ``LONG`` samples: a slow
leak goes on. How many processes run at a moment is up to what was killed just before."""

LONG = 600


class Usage:
    """Samples the most memory and open files of a steady process, and how many run in all."""

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
        told = (
            f"{what}: {most:.0f}, {middle:.0f}, {last:.0f}"
            for what, most, middle, last in self._thirds()
        )
        return "the most of the first third and the medians of the others: " + "; ".join(told)

    def faults(self) -> list[str]:
        """Return what has grown."""
        is_long = len(self._samples) >= LONG
        return [
            f"grew from at most {most:.0f} and then {middle:.0f} to {last:.0f} {what}"
            for what, most, middle, last in self._thirds()
            if last > most * MOST_GROWTH[what] + 1
            or (is_long and what in MOST_CREEP and last > middle * MOST_CREEP[what] + 1)
        ]

    def _thirds(self) -> Iterator[tuple[str, float, float, float]]:
        size = max(1, len(self._samples) // 3)
        first, last = self._samples[:size], self._samples[-size:]
        middle = self._samples[size:-size] or last
        for what in MOST_GROWTH:
            medians = (median(sample[what] for sample in part) for part in (middle, last))
            yield what, max(sample[what] for sample in first), *medians

    def _run(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            roots = [root.pid for root in self._processes.roots]
            steady = [_usage_of(pid) for pid in self._processes.steady()]
            seen = [usage for usage in steady if usage is not None]
            if seen:
                self._samples.append(
                    {
                        "MB": max(megabytes for megabytes, _ in seen),
                        "open files": max(files for _, files in seen),
                        "processes": len(roots) + sum(len(children_of(pid)) for pid in roots),
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
