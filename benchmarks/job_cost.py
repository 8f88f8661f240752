"""What a no-op job costs the server from enqueueing to its end, beside RQ in the same run.

    python benchmarks/job_cost.py                  # a minute or two
    python benchmarks/job_cost.py --server /usr/bin/redis-server

In each round one process enqueues so many jobs one by one: with Spigot, with Spigot and a key for
each, and with RQ, in turns of fifty, so that other programs slow all of them alike. Then a worker
that runs jobs in its own process (``RateAwareSimpleWorker``, ``SimpleWorker``) works until none is
left, first Spigot's; between them a pool with so many places (``RateAwarePoolWorker``) does so with
as many jobs, enqueued as Spigot's others. Results, log lines, events and metrics are on. At the end
both enqueue lists of jobs, in turns. The processor time is the server's own (``INFO cpu``), its
commands are those of ``INFO commandstats``, with those inside scripts. On a busy machine
microseconds move by half; the ratios are what counts.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count, islice, repeat
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
NUMBERS = {"rate": "100000/s burst 100", "capacity": 1_000_000}
JOBS_IN_A_TURN = 50
LISTS, JOBS_IN_A_LIST = 10, 1000
WITH_KEYS = "Spigot, with idempotency keys"
IN_A_POOL = "Spigot, in a pool"
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
    """Enqueues and works as Spigot does."""

    def __init__(self, redis: Redis, url: str, folder: Path, places: int) -> None:
        configs = {"default": BucketConfig(rate=Rate.parse("100000/s burst 100"), capacity=10**6)}
        BucketPublisher(redis).publish(configs)
        catalog = JobCatalog([getattr(do_nothing, MARK)])
        own = connect(url, timeout=5)  # as `spigot.enqueue` connects
        queue = JobQueue(own, catalog, configs, keep_seconds=KEEP_SECONDS)
        self._program = Program(own, queue, KEEP_SECONDS)
        self._keys = (f"order-{number}" for number in count())
        buckets, of_pools = folder / "buckets.json", folder / "pools.json"
        buckets.write_text(json.dumps({"default": NUMBERS}))
        of_pools.write_text(json.dumps({"default": NUMBERS | {"concurrency": places}}))
        self._environment = os.environ | {
            "REDIS_URL": url,
            "SPIGOT_APPS": HERE.stem,
            "SPIGOT_BUCKETS": str(buckets),
            "SPIGOT_DATA_DIR": str(folder),
            "PYTHONPATH": str(HERE.parent),
        }
        self._of_pools = self._environment | {"SPIGOT_BUCKETS": str(of_pools)}

    def enqueue(self, jobs: int) -> None:
        """Put so many jobs into the bucket, one by one."""
        self._enqueue(jobs, repeat(None))

    def enqueue_with_keys(self, jobs: int) -> None:
        """The same, with an idempotency key for each."""
        self._enqueue(jobs, self._keys)

    def enqueue_list(self, jobs: int) -> None:
        """Put so many jobs into the bucket by one call."""
        payloads = [{"number": number} for number in range(jobs)]
        self._program.enqueue_many("nothing", payloads, "default", None, delay=0)

    def _enqueue(self, jobs: int, keys: Iterator[str | None]) -> None:
        for number, key in enumerate(islice(keys, jobs)):
            self._program.enqueue("nothing", {"number": number}, "default", key, delay=0)

    def work(self) -> None:
        """Run all jobs that wait."""
        command = ["worker", "--burst", "-w", "spigot.RateAwareSimpleWorker", "default"]
        run_rq(command, self._environment)

    def work_in_a_pool(self) -> None:
        """Run them in a pool."""
        command = ["worker", "--burst", "-w", "spigot.RateAwarePoolWorker", "default"]
        run_rq(command, self._of_pools)


FUNCTION = f"{HERE.stem}.do_nothing"
KEPT = {"result_ttl": KEEP_SECONDS, "failure_ttl": KEEP_SECONDS, "description": "job"}


class PlainRq:
    """Enqueues and works as RQ does, with results kept as long as Spigot keeps them."""

    def __init__(self, redis: Redis, url: str) -> None:
        self._queue = Queue("plain", connection=redis, serializer=JSONSerializer)
        self._url = url

    def enqueue(self, jobs: int) -> None:
        """Put so many jobs into the queue, one by one."""
        for number in range(jobs):
            self._queue.enqueue(FUNCTION, kwargs={"number": number}, **KEPT)

    def enqueue_list(self, jobs: int) -> None:
        """Put so many jobs into the queue by one call."""
        self._queue.enqueue_many(
            [
                Queue.prepare_data(FUNCTION, kwargs={"number": number}, **KEPT)
                for number in range(jobs)
            ]
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


def enqueue_in_turns(
    redis: Redis,
    ways: Mapping[str, Callable[[int], None]],
    jobs: int,
    in_a_turn: int = JOBS_IN_A_TURN,
) -> dict[str, Cost]:
    """Enqueue so many jobs in each way, and return what one cost: the median of all turns."""
    turns: dict[str, list[Cost]] = {name: [] for name in ways}
    for _ in range(jobs // in_a_turn):
        for name, enqueue in ways.items():
            turn = cost_of(redis, partial(enqueue, in_a_turn), in_a_turn)
            turns[name].append(turn)
    return {name: middle(costs) for name, costs in turns.items()}


def middle(costs: list[Cost]) -> Cost:
    """Return the median of each figure."""
    return Cost(
        median(cost.server_us for cost in costs),
        median(cost.commands for cost in costs),
        median(cost.jobs_per_s for cost in costs),
    )


def row(name: str, enqueue: Cost, work: Cost | None) -> str:
    """Return what the jobs of one way cost; starts and ends do not depend on keys."""
    of_work = ("", "", "")
    if work is not None:
        life_us, commands = enqueue.server_us + work.server_us, f" + {work.commands:.1f}"
        of_work = (f"{work.server_us:.0f}", f"{life_us:.0f}", commands)
    return (
        f"| {name} | {enqueue.server_us:.0f} | {of_work[0]} | {of_work[1]} "
        f"| {enqueue.commands:.1f}{of_work[2]} | {enqueue.jobs_per_s:.0f} |"
    )


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2000, help="in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--places", type=int, default=32, help="of the pool")
    parser.add_argument("--server", help="program of the server; default: the embedded Valkey")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    with (
        TemporaryDirectory() as folder,
        private_server(Path(folder), program=given.server) as url,
        Redis.from_url(url) as redis,
    ):
        spigot, rq = Spigot(redis, url, Path(folder), given.places), PlainRq(redis, url)
        ways = {
            "Spigot": spigot.enqueue,
            WITH_KEYS: spigot.enqueue_with_keys,
            "RQ": rq.enqueue,
        }
        workers = {"Spigot": spigot.work, IN_A_POOL: spigot.work_in_a_pool, "RQ": rq.work}
        enqueued: dict[str, list[Cost]] = {name: [] for name in ways}
        worked: dict[str, list[Cost]] = {name: [] for name in workers}
        for jobs in [JOBS_IN_A_TURN] + [given.jobs] * given.rounds:
            for name, cost in enqueue_in_turns(redis, ways, jobs).items():
                enqueued[name].append(cost)
            rq.enqueue(jobs)  # Spigot's worker has those with keys, too
            for name, run in workers.items():
                if name == IN_A_POOL:
                    spigot.enqueue(2 * jobs)
                worked[name].append(cost_of(redis, run, 2 * jobs))
        lists = {"Spigot": spigot.enqueue_list, "RQ": rq.enqueue_list}
        in_lists = enqueue_in_turns(redis, lists, LISTS * JOBS_IN_A_LIST, JOBS_IN_A_LIST)
    print(
        "| | enqueue, server us | start and end | life | commands | enqueue calls/s |\n"
        "| --- | --- | --- | --- | --- | --- |"
    )
    # the first round had in it what is done once
    enqueue = {name: middle(costs[1:]) for name, costs in enqueued.items()}
    work = {name: middle(costs[1:]) for name, costs in worked.items()}
    enqueue[IN_A_POOL] = enqueue["Spigot"]
    for name, cost in enqueue.items():
        print(row(name, cost, work.get(name)))
    calls, with_keys = (
        enqueue[name].jobs_per_s / enqueue["RQ"].jobs_per_s for name in ("Spigot", WITH_KEYS)
    )
    print(f"\nenqueue: {calls:.2f} of RQ's calls a second, {with_keys:.2f} with keys")
    for name, cost in in_lists.items():
        print(
            f"{name}: enqueue_many of {JOBS_IN_A_LIST:,} takes in {cost.jobs_per_s:.0f} jobs a "
            f"second, {cost.server_us:.0f} us of the server each"
        )
    for name in ("Spigot", IN_A_POOL):
        work_us, of_rq_us = work[name].server_us, work["RQ"].server_us
        life = (enqueue[name].server_us + work_us) / (enqueue["RQ"].server_us + of_rq_us)
        print(f"{name}: life {life:.2f} of RQ's, start and end {work_us / of_rq_us:.2f}")


if __name__ == "__main__":
    main()
