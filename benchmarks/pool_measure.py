"""What ``pool_systems.py`` measures of one system: memory of jobs that wait, and short jobs."""

import os
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from laboratory import processes
from pool_subjects import System
from redis import Redis
from slow_server import slow_server
from worker_memory import below, pss_of

HERE = Path(__file__).parent
NOTE = struct.Struct("<q")
PATIENCE_SECONDS = 200
STEADY = 0.005
"""By what part memory may change while it counts as steady."""

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class NotMeasuredError(Exception):
    """The system did not do what was asked for in time; the message has its last words."""


@dataclass(frozen=True)
class Memory:
    """PSS of all processes of a system, in MB: idle, and while its jobs wait."""

    processes: int
    idle: float
    waiting: float


@dataclass(frozen=True)
class Short:
    """What jobs that do nothing took: how many a second, and microseconds of processors a job."""

    processes: int
    per_second: float
    workers_us: float
    server_us: float


class Laboratory:
    """An emptied server and a folder, in which one system is measured.

    Args:
        system: Which one.
        url: Of a server that nobody else uses.
        folder: Empty.
        settle_seconds: How long memory must stay the same to count as steady, and how long what
            is written after the last job may take.
    """

    def __init__(self, system: System, url: str, folder: Path, settle_seconds: float) -> None:
        self._system = system
        self._folder = folder
        self._settle_seconds = settle_seconds
        self._redis = Redis.from_url(url)
        self._redis.flushall()
        self._server: int = self._redis.info("server")["process_id"]
        self._notes = folder / "starts"
        self._environment = {
            "URL": url,
            "REDIS_URL": url,
            "START_NOTES": str(self._notes),
            "PYTHONPATH": str(HERE),
            **system.environment,
        }

    def memory(self, jobs: int) -> Memory:
        """Return what workers take idle, and once so many jobs wait in them."""
        system = self._system
        with processes(system.workers(jobs), self._environment, self._folder):
            connected = 1 + (jobs if system.a_process_each else 1)
            self._wait_until(lambda: self._clients() >= connected, "its workers did not come")
            idle = self._steady_memory()
            with slow_server() as slow:
                self._enqueue("wait", jobs, slow.port)
                self._wait_until(lambda: slow.waiting == jobs, "not all jobs wait")
                return Memory(len(self._pids()), idle, self._steady_memory())

    def short_jobs(self, jobs: int, places: int) -> Short:
        """Return what it takes to run a backlog of so many jobs that do nothing."""
        self._enqueue("nothing", jobs, 1)
        with processes(self._system.workers(places), self._environment, self._folder):
            self._wait_until(self._started, "it did not start a job")
            missed, begun = self._started(), self._used()
            self._wait_until(lambda: self._started() >= jobs, "it did not start all jobs")
            time.sleep(self._settle_seconds)
            workers, server = (b - a for a, b in zip(begun, self._used(), strict=True))
            starts = [us for (us,) in NOTE.iter_unpack(self._notes.read_bytes())]
            if len(starts) != jobs:
                raise NotMeasuredError(f"{jobs} jobs were started {len(starts)} times")
            each = 1e6 / (jobs - missed)
            rate = (jobs - 1) * 1e6 / (max(starts) - min(starts))
            return Short(len(self._pids()), rate, workers * each, server * each)

    def _enqueue(self, job: str, count: int, number: int) -> None:
        command = [*self._system.enqueue, job + self._system.kind, str(count), str(number)]
        environment = os.environ | self._environment
        subprocess.run(command, env=environment, cwd=self._folder, check=True)

    def _wait_until(self, condition: Callable[[], object], otherwise: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not condition():
            if time.monotonic() > deadline:
                words = (self._folder / "output-0").read_text(errors="replace")[-1000:]
                raise NotMeasuredError(f"{otherwise}: {words}")
            time.sleep(0.01)

    def _clients(self) -> int:
        return int(self._redis.info("clients")["connected_clients"])

    def _started(self) -> int:
        return self._notes.stat().st_size // NOTE.size if self._notes.exists() else 0

    def _steady_memory(self) -> float:
        """Return the memory once it has not changed for a while."""
        since, steady = time.monotonic(), self._memory()
        deadline = since + PATIENCE_SECONDS
        while time.monotonic() < since + self._settle_seconds:
            time.sleep(self._settle_seconds / 10)
            now = self._memory()
            if abs(now - steady) > STEADY * steady:
                since, steady = time.monotonic(), now
            if time.monotonic() > deadline:
                raise NotMeasuredError("its memory does not become steady")
        return steady

    def _memory(self) -> float:
        return sum(map(_pss, self._pids()))

    def _pids(self) -> list[int]:
        while True:
            with suppress(FileNotFoundError, ProcessLookupError):  # one ended: look again
                return [pid for pid in below(os.getpid()) if pid != self._server]

    def _used(self) -> tuple[float, float]:
        """Return how many seconds workers and server have run, with children that have ended."""
        server = self._redis.info("cpu")
        server_seconds = float(server["used_cpu_user"] + server["used_cpu_sys"])
        return sum(map(_processor, self._pids())), server_seconds


def _pss(pid: int) -> float:
    try:
        return pss_of(pid)
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return 0


def _processor(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / TICKS_PER_SECOND


@contextmanager
def laboratory(system: System, url: str, settle_seconds: float) -> Iterator[Laboratory]:
    """Yield a place to measure a system in."""
    with tempfile.TemporaryDirectory(prefix="pool-") as folder:
        yield Laboratory(system, url, Path(folder), settle_seconds)
