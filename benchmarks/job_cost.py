"""What a no-op job costs the server from enqueueing to its end, beside RQ in the same run.

    python benchmarks/job_cost.py                  # a minute or two
    python benchmarks/job_cost.py --server /usr/bin/redis-server

Rounds of Spigot and of RQ take turns on one private server. In each, one process enqueues so many
jobs one by one, and then a worker that runs jobs in its own process (``RateAwareSimpleWorker``,
``SimpleWorker``) works until none is left. Results, log lines, events and metrics are on; in a row
of its own, each job has an idempotency key. The
processor time is the server's own (``INFO cpu``), its commands are those of ``INFO commandstats``,
with those inside scripts. On a busy machine microseconds move by half; the ratios are what counts.
"""

import argparse
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from laboratory import private_server
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.program import Program
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import MARK, job_type
from spigot.runtime.rate import Rate
from spigot.runtime.server.redis_connection import connect

KEEP_SECONDS = 86_400
BUCKETS = '{"default": {"rate": "100000/s burst 100", "capacity": 1000000}}'
WITH_KEYS = "Spigot, with idempotency keys"
HERE = Path(__file__)


@job_type("nothing")
def do_nothing(number: int) -> None:
    """Stand for a user's function."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a part of a job's life cost, on average.

    Attributes:
        server_us: Microseconds of the server's processor.
        commands: Those that the server did, in scripts and out of them.
        jobs_per_s: How many jobs went through this part a second.
    """

    server_us: float
    commands: float
    jobs_per_s: float


def cost_of(redis: Redis, work: Callable[[], None], jobs: int) -> Cost:
    """Do the work of so many jobs and return what each cost."""
    redis.config_resetstat()
    begun_us, begun_s = processor_us(redis), time.perf_counter()
    work()
    seconds = time.perf_counter() - begun_s
    used_us = processor_us(redis) - begun_us
    commands = sum(command["calls"] for command in redis.info("commandstats").values())
    return Cost(used_us / jobs, commands / jobs, jobs / seconds)


def processor_us(redis: Redis) -> float:
    """Return how much of its processor the server has used."""
    used = redis.info("cpu")
    return float(used["used_cpu_user"] + used["used_cpu_sys"]) * 1e6


class Spigot:
    """Enqueues and works as Spigot does.

    Args:
        redis: The server.
        url: Its URL.
        folder: For the worker's files.
        with_keys: Whether each job has an idempotency key.
    """

    def __init__(self, redis: Redis, url: str, folder: Path, *, with_keys: bool = False) -> None:
        configs = {"default": BucketConfig(rate=Rate.parse("100000/s burst 100"), capacity=10**6)}
        BucketPublisher(redis).publish(configs)
        catalog = JobCatalog([getattr(do_nothing, MARK)])
        own = connect(url, timeout=5)  # as `spigot.enqueue` connects
        queue = JobQueue(own, catalog, configs, keep_seconds=KEEP_SECONDS)
        self._program = Program(own, queue, KEEP_SECONDS)
        self._keys = (f"order-{number}" for number in count()) if with_keys else repeat(None)
        buckets = folder / "buckets.json"
        buckets.write_text(BUCKETS)
        self._environment = os.environ | {
            "REDIS_URL": url,
            "SPIGOT_APPS": HERE.stem,
            "SPIGOT_BUCKETS": str(buckets),
            "SPIGOT_DATA_DIR": str(folder),
            "PYTHONPATH": str(HERE.parent),
        }

    def enqueue(self, jobs: int) -> None:
        """Put so many jobs into the bucket, one by one."""
        for number, key in zip(range(jobs), self._keys, strict=False):
            self._program.enqueue("nothing", {"number": number}, "default", key, delay=0)

    def work(self) -> None:
        """Run all jobs that wait."""
        command = ["worker", "--burst", "-w", "spigot.RateAwareSimpleWorker", "default"]
        run_rq(command, self._environment)


class PlainRq:
    """Enqueues and works as RQ does, with results kept as long as Spigot keeps them."""

    def __init__(self, redis: Redis, url: str) -> None:
        self._queue = Queue("plain", connection=redis, serializer=JSONSerializer)
        self._url = url

    def enqueue(self, jobs: int) -> None:
        """Put so many jobs into the queue, one by one."""
        for number in range(jobs):
            self._queue.enqueue(
                f"{HERE.stem}.do_nothing",
                kwargs={"number": number},
                result_ttl=KEEP_SECONDS,
                failure_ttl=KEEP_SECONDS,
                description="job",
            )

    def work(self) -> None:
        """Run all jobs that wait."""
        command = ["worker", "--burst", "-w", "rq.SimpleWorker", "--serializer", "json", "plain"]
        environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
        run_rq([*command, "--url", self._url], environment)


def run_rq(command: list[str], environment: dict[str, str]) -> None:
    """Run a worker until no job waits."""
    program = [sys.executable, "-m", "rq.cli", *command, "--logging_level", "WARNING"]
    subprocess.run(program, env=environment, check=True, stderr=subprocess.DEVNULL)


def life_of(redis: Redis, side: Spigot | PlainRq, jobs: int) -> tuple[Cost, Cost]:
    """Return what it cost to enqueue a job, and to start and end it."""
    enqueued = cost_of(redis, lambda: side.enqueue(jobs), jobs)
    return enqueued, cost_of(redis, side.work, jobs)


def middle(costs: list[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(
        median(cost.server_us for cost in costs),
        median(cost.commands for cost in costs),
        median(cost.jobs_per_s for cost in costs),
    )


def print_rows(name: str, enqueue: Cost, work: Cost) -> None:
    """Print what one side's jobs cost."""
    life_us = enqueue.server_us + work.server_us
    print(
        f"| {name} | {enqueue.server_us:.0f} | {work.server_us:.0f} | {life_us:.0f} "
        f"| {enqueue.commands:.1f} + {work.commands:.1f} | {enqueue.jobs_per_s:.0f} |"
    )


def ratio(
    parts: Mapping[str, list[Cost]], figure: Callable[[Cost, Cost], float], side: str = "Spigot"
) -> float:
    """Return a figure of one side's as a part of RQ's."""
    return figure(*parts[side]) / figure(*parts["RQ"])


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--server", help="program of the server; default: the embedded Valkey")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    with (
        TemporaryDirectory() as folder,
        private_server(Path(folder), program=given.server) as url,
        Redis.from_url(url) as redis,
    ):
        sides = {
            "Spigot": Spigot(redis, url, Path(folder)),
            WITH_KEYS: Spigot(redis, url, Path(folder), with_keys=True),
            "RQ": PlainRq(redis, url),
        }
        lives: dict[str, list[tuple[Cost, Cost]]] = {name: [] for name in sides}
        for side in sides.values():  # what is done once is no job's cost
            life_of(redis, side, 50)
        for _ in range(given.rounds):
            for name, side in sides.items():
                lives[name].append(life_of(redis, side, given.jobs))
    print(
        "| | enqueue, server us | start and end | life | commands | enqueue calls/s |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    parts = {
        name: [middle(list(part)) for part in zip(*lives[name], strict=True)] for name in lives
    }
    for name, (enqueue, work) in parts.items():
        print_rows(name, enqueue, work)
    life = ratio(parts, lambda enqueue, work: enqueue.server_us + work.server_us)
    calls, with_keys = (
        ratio(parts, lambda enqueue, work: enqueue.jobs_per_s, side)
        for side in ("Spigot", WITH_KEYS)
    )
    print(
        f"\nlife: {life:.2f} of RQ's; enqueue: {calls:.2f} of RQ's calls a second, "
        f"{with_keys:.2f} with keys"
    )


if __name__ == "__main__":
    main()
