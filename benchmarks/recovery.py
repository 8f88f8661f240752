"""How soon a job runs again whose worker was killed while it ran it.

    python benchmarks/recovery.py

Two workers serve a bucket. The one that runs a job is ended by kill -9, and the time is taken
until the job begins again in the other. The moment of the kill matters (the lease may have been
renewed just before), so each row is several kills.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from door import private_server
from redis import Redis
from rq import Queue
from rq.job import Job

ROOT = Path(__file__).parents[1]
PATIENCE_SECONDS = 120


def main() -> None:
    """Print a row of a table for each lease."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--leases", type=float, nargs="+", default=[15, 5], metavar="SECONDS")
    parser.add_argument("--kills", type=int, default=5, help="for each lease")
    options = parser.parse_args()
    print("| lease | kill -9 to the second start: median | slowest |\n| --- | --- | --- |")
    for lease in options.leases:
        times = [seconds_to_second_start(lease) for _ in range(options.kills)]
        print(f"| {lease:g} s | {median(times):.1f} s | {max(times):.1f} s |", flush=True)


def seconds_to_second_start(lease: float) -> float:
    """Kill the worker of a job that runs; return the seconds until another begins it."""
    with tempfile.TemporaryDirectory() as folder, private_server(Path(folder)) as url:
        redis = Redis.from_url(url)
        job = Queue("default", connection=redis, serializer="json").enqueue("time.sleep", 600)
        with worker(url, folder, lease), worker(url, folder, lease):
            wait_for_start(redis, job, 1)
            time.sleep(random.uniform(2, 2 + lease))
            pid = int(redis.hget(f"rq:worker:{worker_of(redis, job)}", "pid") or 0)
            os.kill(pid, signal.SIGKILL)
            killed_at = time.time()
            return wait_for_start(redis, job, 2) - killed_at


@contextmanager
def worker(url: str, folder: str, lease: float) -> Iterator[None]:
    """Run a worker process, without a pool that would replace it."""
    environment = os.environ | {
        "REDIS_URL": url,
        "SPIGOT_DATA_DIR": folder,
        "SPIGOT_LEASE_SECONDS": str(lease),
    }
    command = [sys.executable, "-m", "rq.cli", "worker", "-w", "spigot.RateAwareWorker", "default"]
    with subprocess.Popen(
        command, env=environment, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            yield
        finally:
            process.kill()


def wait_for_start(redis: Redis, job: Job, attempt: int) -> float:
    """Return when the attempt began, Unix seconds."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while int(redis.hget(job.key, "spigot_attempts") or 0) < attempt:
        if time.monotonic() > deadline:
            raise SystemExit(f"attempt {attempt} did not begin within {PATIENCE_SECONDS} s")
        time.sleep(0.01)
    return int(redis.hget(job.key, "spigot_slot_us") or 0) / 1_000_000


def worker_of(redis: Redis, job: Job) -> str:
    """Return the name of the worker that runs the job."""
    return (redis.hget(job.key, "worker_name") or b"").decode()


if __name__ == "__main__":
    main()
