"""How much memory a worker takes, idle and with a job.

    python benchmarks/worker_memory.py

It starts ``spigot worker`` with 2 and with 10 workers and prints what each further worker adds, in
PSS (Linux): memory that processes share is counted once over all of them. The job only sleeps:
what an application imports before the fork is shared as well, what its functions make is not.
"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from laboratory import private_server, processes
from redis import Redis

FEW, MANY = 2, 10
PATIENCE_SECONDS = 180
APP = """
import time

from spigot import job_type


@job_type("sleep")
def sleep(seconds: int) -> None:
    time.sleep(seconds)
"""
ENQUEUE = "from spigot import enqueue; [enqueue('sleep', {'seconds': 60}) for _ in range(%d)]"


class Taken(NamedTuple):
    """Memory of a pool and all its children, in MB."""

    idle: float
    busy: float


def main() -> None:
    """Print a row for each kind of worker."""
    print("| workers | pool with 2, idle (MB) | each further one, idle | with a job |")
    print("| --- | --- | --- | --- |")
    for name, options in {"forking": [], "`--simple`": ["--simple"]}.items():
        few, many = measure(FEW, options), measure(MANY, options)
        idle, busy = ((b - a) / (MANY - FEW) for a, b in zip(few, many, strict=True))
        print(f"| {name} | {few.idle:.0f} | {idle:.1f} | {busy:.1f} |")


def measure(count: int, options: list[str]) -> Taken:
    """Return what ``count`` workers take, before and while each of them runs a job."""
    with tempfile.TemporaryDirectory() as text, private_server(Path(text)) as url:
        folder = Path(text)
        (folder / "sleeper.py").write_text(APP)
        (folder / "buckets.json").write_text('{"default": {"rate": "1000/s"}}')
        environment = {"REDIS_URL": url, "SPIGOT_APPS": "sleeper", "SPIGOT_GRACE_SECONDS": "1"}
        command = [sys.executable, "-m", "spigot", "worker", "--count", str(count), *options]
        with processes([command], environment, folder), Redis.from_url(url) as redis:
            wait_for(lambda: redis.scard("rq:workers") == count)
            time.sleep(2)  # what they load when they begin to wait
            idle = taken_by_children()
            enqueue = [sys.executable, "-c", ENQUEUE % count]
            with processes([enqueue], environment, folder):
                wait_for(lambda: redis.zcard("spigot:1:bucket:default:leases") == count)
            time.sleep(2)
            return Taken(idle, taken_by_children())


def wait_for(condition: Callable[[], object]) -> None:
    """Return once the condition holds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit("the workers did not start, or took no jobs")
        time.sleep(0.05)


def taken_by_children() -> float:
    """Return the PSS of the workers' pool and all below it, in MB."""
    return sum(pss_of(pid) for pid in below(os.getpid()) if is_python(pid))


def below(pid: int) -> list[int]:
    """Return the children of a process, their children, and so on."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    children = [int(child) for task in tasks for child in task.read_text().split()]
    return children + [deeper for child in children for deeper in below(child)]


def is_python(pid: int) -> bool:
    """Return whether it is a process of ours, and not the server."""
    return b"spigot" in Path(f"/proc/{pid}/cmdline").read_bytes()


def pss_of(pid: int) -> float:
    """Return the memory of one process, in MB."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise SystemExit("this needs Linux with smaps_rollup")


if __name__ == "__main__":
    main()
