"""What each step of a job costs the server: processor, commands, network, file, memory.

    python benchmarks/server_cost.py           # about half a minute
    python benchmarks/server_cost.py --server /usr/bin/redis-server

The steps are called one after the other on one connection, with the scripts of production, on a
private server that writes an append-only file: a request at a door with two rules, an enqueue, a
look at the job, its start, a renewal of its lease, its end. The processor time is the server's own
(``INFO cpu``), kernel included, the least of the rounds; bytes are its own counts. On a busy
machine microseconds double; commands and bytes do not. ``job_cost.py`` has whole lives, with real
workers, beside RQ's.
"""

import argparse
import logging
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from flask import Flask
from job_cost import processor_us
from laboratory import private_server
from redis import Redis

from spigot import Door
from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.job.state import JobReader
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import MARK, job_type
from spigot.runtime.rate import Rate
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms

TERMS = LeaseTerms(lease_ms=15_000, max_reaps=3, keep_seconds=86_400)
WORKER = "host.1234"
RESULT = '{"pages": 3, "words": 1204}'
RULES = {
    "burst": {"capacity": 10**8, "refill_rate": 1000},
    "minute": {"limit": 10**8, "window": 3600, "match": "*"},
}
SHARE = 0.5
"""Of the server's one thread: beyond that, waiting times grow quickly."""

LIFE = ("request", "enqueue", "look", "start", "end")
"""What a job costs that a client posts and asks for once."""

HEADER = """\
| step | server us | commands | bytes in | bytes out | bytes in the file | bytes kept |
| --- | --- | --- | --- | --- | --- | --- |"""


@job_type("document")
def process(doc_id: str) -> None:
    """Stand for a user's function."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one call costs the server, on average.

    Attributes:
        server_us: Microseconds of its processor.
        commands: Those that it did, in scripts and out of them.
        received: Bytes that came to it.
        sent: Bytes that it answered.
        written: Bytes of its append-only file.
        kept: Bytes of its memory that were taken; less than 0 if some became free.
    """

    server_us: float
    commands: float
    received: float
    sent: float
    written: float
    kept: float


def counts_of(redis: Redis) -> Cost:
    """Return what the server has counted since its start; ``kept`` is what it holds."""
    commands = sum(command["calls"] for command in redis.info("commandstats").values())
    network, memory = redis.info("stats"), redis.info("memory")
    file = redis.info("persistence")["aof_current_size"]
    return Cost(
        processor_us(redis),
        commands,
        network["total_net_input_bytes"],
        network["total_net_output_bytes"],
        file,
        memory["used_memory"],
    )


class Steps:
    """Takes jobs through their lives, one step for all of them after the other.

    Args:
        redis: An empty server.
        url: Its URL.
        jobs: How many there are in a round.
    """

    def __init__(self, redis: Redis, url: str, jobs: int) -> None:
        configs = {"default": BucketConfig(rate=Rate.parse("100000/s burst 100"), capacity=10**6)}
        BucketPublisher(redis).publish(configs)
        catalog = JobCatalog([getattr(process, MARK)])
        self._queue = JobQueue(redis, catalog, configs, keep_seconds=TERMS.keep_seconds)
        self._reader = JobReader(redis)
        self._bucket = LeakyBucket(redis, "default")
        self._leases = LeaseStore(redis, "default", WORKER, TERMS)
        self._app = app_behind_a_door(url)
        self._jobs = jobs
        self._ids: list[str] = []
        self._claims: list[Claim] = []
        self._logged: list[str] = []
        self._round = 0

    def all(self) -> Mapping[str, Callable[[], None]]:
        """Return the steps in their order."""
        return {
            "request": self.request,
            "enqueue": self.enqueue,
            "look": self.look,
            "start": self.start,
            "renewal": self.renew,
            "end": self.end,
        }

    def request(self) -> None:
        """Let a client of an address of its own pass the door."""
        self._round += 1
        for number in range(self._jobs):
            address = f"10.{self._round}.{number // 250}.{number % 250}"
            call(self._app, address)

    def enqueue(self) -> None:
        """Take jobs in."""
        jobs = [
            self._queue.enqueue("document", {"doc_id": f"doc_{number}"})
            for number in range(self._jobs)
        ]
        self._ids = [job.id for job in jobs]  # type: ignore[union-attr]  # the bucket is never full

    def look(self) -> None:
        """Read each job once, as ``GET /jobs/ID`` does."""
        for job_id in self._ids:
            assert self._reader.read(job_id)

    def start(self) -> None:
        """Claim them; each claim says that the line of one that ended before is written."""
        before, self._claims = [claim.token for claim in self._claims], []
        for number in range(self._jobs):
            token = f"{self._round:08x}{number:024x}"
            claim = self._bucket.claim(
                WORKER, token, lease_ms=TERMS.lease_ms, logged=before[number : number + 1]
            )
            assert isinstance(claim, Claim)
            self._claims.append(claim)

    def renew(self) -> None:
        """Renew each lease once, as a worker does every other second."""
        for claim in self._claims:
            self._leases.renew([claim.token], 480)

    def end(self) -> None:
        """Finish them with a small result."""
        for claim in self._claims:
            report = AttemptReport(claim.token, "document", claim=claim)
            self._leases.complete(report, "finished", result=RESULT)


def app_behind_a_door(url: str) -> Flask:
    """Return an app whose only view passes two rules."""
    app = Flask(__name__)
    app.add_url_rule("/", "hello", lambda: "hello")
    Door(app, rules=RULES, redis_url=url)
    return app


def call(app: Flask, address: str) -> None:
    """Ask for the view as a server does, without the server."""
    environ = {
        "REQUEST_METHOD": "GET",
        "PATH_INFO": "/",
        "REMOTE_ADDR": address,
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.errors": sys.stderr,
    }

    def start_response(status: str, headers: object, error: object = None) -> None:
        assert status == "200 OK", status

    b"".join(app(environ, start_response))  # type: ignore[arg-type]


def cost_of(redis: Redis, step: Callable[[], None], calls: int) -> Cost:
    """Return what one of so many calls costs; asking for the counts is not in it."""
    first = counts_of(redis)
    before = counts_of(redis)
    step()
    used, asking = minus(counts_of(redis), before), minus(before, first)
    return Cost(*(each / calls for each in astuple(minus(used, asking))))


def minus(one: Cost, other: Cost) -> Cost:
    """Return the difference of each figure."""
    return Cost(*(a - b for a, b in zip(astuple(one), astuple(other), strict=True)))


def measure(redis: Redis, url: str, jobs: int, rounds: int) -> dict[str, Cost]:
    """Return the median cost of each step; the first round is not counted."""
    redis.config_set("appendonly", "yes")
    time.sleep(1)  # until the first file is written
    steps = Steps(redis, url, jobs)
    found: dict[str, list[Cost]] = {name: [] for name in steps.all()}
    for _ in range(rounds + 1):
        for name, step in steps.all().items():
            found[name].append(cost_of(redis, step, jobs))
    return {name: usual(costs[1:]) for name, costs in found.items()}


def usual(costs: list[Cost]) -> Cost:
    """Return the median of each figure, but the least time: other programs only add to it."""
    middle = Cost(*(median(figures) for figures in zip(*map(astuple, costs), strict=True)))
    return replace(middle, server_us=min(cost.server_us for cost in costs))


def report(costs: Mapping[str, Cost]) -> None:
    """Print each step, a whole life, and what the server carries."""
    life = Cost(*map(sum, zip(*(astuple(costs[name]) for name in LIFE), strict=True)))
    print(HEADER)
    for name, cost in [*costs.items(), ("a life", life)]:
        cells = [f"{cost.server_us:.0f}", f"{cost.commands:.1f}"]
        cells += [f"{each:.0f}" for each in astuple(cost)[2:]]
        print(f"| {name} | {' | '.join(cells)} |")
    jobs = SHARE * 1e6 / life.server_us
    requests = SHARE * 1e6 / costs["request"].server_us
    print(
        f"\n{SHARE:.0%} of the server's thread carry {jobs:.0f} such lives a second, which write"
        f" {jobs * life.written / 1e6:.1f} MB/s to the file and move"
        f" {jobs * (life.received + life.sent) * 8 / 1e6:.0f} Mbit/s;"
        f" or {requests:.0f} requests a second at the door."
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=400, help="in each round")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--server", help="program of the server; default: the embedded Valkey")
    given = parser.parse_args()
    logging.disable(logging.WARNING)
    with (
        TemporaryDirectory() as folder,
        private_server(Path(folder), program=given.server) as url,
        Redis.from_url(url) as redis,
    ):
        report(measure(redis, url, given.jobs, given.rounds))


if __name__ == "__main__":
    main()
