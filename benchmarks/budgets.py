"""Measure budgets against simulated AI services: refusals, and how much of the limit is used.

Each service is asked by real workers, from one and from three processes, with jobs of two sizes,
the large ones in batches. Beside it stands what a bucket gets that limits requests alone, at the
limit divided by the mean cost. ``python benchmarks/budgets.py`` takes about eight minutes;
``--seconds 8`` six.

The services' own bursts are above ours by what passes in JITTER seconds: no network delivers calls
as evenly as they are sent.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from budget_upstreams import Counting, TokenBucket, Upstream, Window, served
from laboratory import private_server

from spigot.jobs.enqueueing import enqueue

RATE = 1000.0
"""Tokens a second that each service grants."""

JITTER = 0.5
SMALL, LARGE = 50, 300
"""Tokens that jobs reserve, of which they use half to all: after 40 small ones come 10 large."""

MEAN = (40 * SMALL + 10 * LARGE) / 50

SETTLE = 3.0
"""Seconds until the burst is used up, which is not counted."""


@dataclass(frozen=True)
class Service:
    """A service, and what ``buckets.json`` says of it.

    Attributes:
        name: For the table.
        counting: When it counts.
        budget: What we say.
        limit: What it counts by.
        seconds: How long a call runs.
        drain: Tokens a second that our settings allow.
    """

    name: str
    counting: Counting
    budget: dict[str, Any]
    limit: Callable[[], TokenBucket | Window]
    seconds: float
    drain: float = RATE


def bucket(burst: float) -> Callable[[], TokenBucket]:
    """Return what makes a token bucket that is a little larger than ours."""
    return lambda: TokenBucket(RATE, burst + RATE * JITTER)


SERVICES = [
    Service(
        "token bucket, at arrival",
        "arrival",
        {"limit": "60000/m", "burst": 1000, "counted": "at_start"},
        bucket(1000),
        0.5,
    ),
    Service(
        "token bucket, as generated",
        "generated",
        {"limit": "60000/m", "burst": 3000},
        bucket(3000),
        0.5,
    ),
    Service(
        "token bucket, reserved and returned",
        "returned",
        {"limit": "60000/m", "burst": 3000},
        bucket(3000),
        0.5,
    ),
    Service(
        "windows of 60 s",
        "arrival",
        {"limit": "60000/m", "window": "60s", "burst": 1800, "counted": "at_start"},
        lambda: Window(60_000 + RATE * JITTER, 60),
        0.5,
        (60_000 - 1800) / 60,
    ),
    Service(
        "windows of 1 s",
        "arrival",
        {"limit": "60000/m", "window": "1s", "burst": 400, "counted": "at_start"},
        lambda: Window(1000 + RATE * JITTER, 1),
        0.2,
        600,
    ),
]


@dataclass(frozen=True)
class Result:
    """What came of one run."""

    tokens_per_second: float
    refused: int
    asked: int


def run(service: Service, processes: int, seconds: float, *, with_budget: bool) -> Result:
    """Let workers ask a service for a while."""
    upstream = Upstream(service.limit(), service.counting)
    plain = {"rate": f"{round(60 * RATE / MEAN)}/m", "capacity": 100_000}
    budgeted = {"rate": "100/s", "capacity": 100_000, "budgets": {"tokens": service.budget}}
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        url = stack.enter_context(private_server(folder))
        port = stack.enter_context(served(upstream))
        (folder / "buckets.json").write_text(json.dumps({"ai": budgeted if with_budget else plain}))
        environment = {
            "REDIS_URL": url,
            "SPIGOT_APPS": "budget_jobs",
            "PYTHONPATH": str(Path(__file__).parent),
            "SPIGOT_BUCKETS": str(folder / "buckets.json"),
            "SPIGOT_DATA_DIR": str(folder),
            "UPSTREAM_PORT": str(port),
        }
        os.environ.update(environment)
        enqueue_calls(url, service, round(1.6 * RATE * (seconds + 5) / MEAN) + 60)
        command = [sys.executable, "-m", "spigot", "worker", "ai", "--count", str(processes)]
        worker = subprocess.Popen([*command, "--concurrency", "40"], stderr=subprocess.DEVNULL)
        try:
            while not upstream.served:
                time.sleep(0.05)
            begin = upstream.served[0][0] + SETTLE
            time.sleep(max(0.0, begin + seconds - time.monotonic()))
            tokens = upstream.tokens_between(begin, begin + seconds)
            return Result(tokens / seconds, upstream.refused, len(upstream.served))
        finally:
            worker.terminate()
            worker.wait()


def enqueue_calls(url: str, service: Service, number: int) -> None:
    """Enqueue a backlog that does not run dry."""
    sizes = random.Random(1)
    for index in range(number):
        reserved = SMALL if index % 50 < 40 else LARGE
        used = reserved if service.counting == "arrival" else sizes.randint(reserved // 2, reserved)
        payload = {"reserved": reserved, "used": used, "seconds": service.seconds}
        enqueue("call", payload, redis_url=url)


@click.command()
@click.option("--seconds", default=20.0, help="That are counted of each run.")
@click.option("--only", default="", help="Part of the name of a service.")
def main(seconds: float, only: str) -> None:
    """Measure all services and print a table."""
    print(
        "| service | burst, run time | setting | processes | refused | of what the settings allow |"
    )
    print("| --- | --- | --- | --- | --- | --- |")
    for service in SERVICES:
        if only not in service.name:
            continue
        counted = max(seconds, 62.0) if "60 s" in service.name else seconds
        for with_budget, processes in ((True, 1), (True, 3), (False, 1)):
            result = run(service, processes, counted, with_budget=with_budget)
            allowed = service.drain if with_budget else RATE
            print(
                f"| {service.name} | {service.budget['burst']}, {service.seconds} s "
                f"| {'budget' if with_budget else 'requests a minute'} | {processes} "
                f"| {result.refused} of {result.asked + result.refused} "
                f"| {result.tokens_per_second / allowed:.1%} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
