"""How long a job waits on an idle bucket: from its enqueueing to the call of its function.

    python benchmarks/latency.py             # about 2 minutes

Spigot's workers and RQ's take turns, job by job, each on a private server of its own, so that
whatever else the machine does hits all of them alike. RQ is the one that Spigot is built on.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from laboratory import private_server, processes, wait_for_word
from pace_measure import Cell, percentile, read_starts
from pace_systems import HERE, Place, spigot
from redis import Redis
from rq import Queue

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.types.job_catalog import JobCatalog

RATE = 1000
"""Per second, of the bucket: no job is to wait for its slot."""

PATIENCE_SECONDS = 30
HEADER = """\
| enqueued by, run by | p50 (ms) | p99 (ms) |
| --- | --- | --- |"""


@dataclass
class Subject:
    """A fleet, and a way to give it a job."""

    name: str
    place: Place
    enqueue: Callable[[], object]
    waited_us: list[int] = field(default_factory=list)

    def measure(self) -> None:
        """Enqueue one job and note how long it waited."""
        before = len(read_starts(self.place.notes))
        began_us = time.time_ns() // 1000
        self.enqueue()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len(starts := read_starts(self.place.notes)) == before:
            if time.monotonic() > deadline:
                raise SystemExit(f"{self.name}: no job started in {PATIENCE_SECONDS} s")
            time.sleep(0.002)
        self.waited_us.append(starts[-1].us - began_us)


def main() -> None:
    """Measure, and print a row per subject."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=100, help="per subject")
    parser.add_argument("--workers", type=int, default=4, help="idle ones in each fleet")
    options = parser.parse_args()
    with ExitStack() as stack:
        subjects = [
            *spigot_subjects(stack, options.workers, simple=False),
            *spigot_subjects(stack, options.workers, simple=True),
            rq_subject(stack, options.workers, "Worker"),
            rq_subject(stack, options.workers, "SimpleWorker"),
        ]
        for _ in range(options.jobs):
            for subject in subjects:
                time.sleep(random.uniform(0.01, 0.05))  # idle again, at no particular moment
                subject.measure()
        print(f"{os.cpu_count()} cores, {options.workers} idle workers in each fleet\n\n{HEADER}")
        for subject in subjects:
            p50, p99 = (percentile(subject.waited_us, p) / 1000 for p in (50, 99))
            print(f"| {subject.name} | {p50:.1f} | {p99:.1f} |")


def new_place(stack: ExitStack) -> Place:
    """Start a server."""
    folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="latency-")))
    return Place(stack.enter_context(private_server(folder)), folder)


def spigot_subjects(stack: ExitStack, workers: int, *, simple: bool) -> list[Subject]:
    """Start Spigot's workers; return them with its own enqueueing and with plain RQ's."""
    place = new_place(stack)
    stack.enter_context(spigot(simple=simple).fleet(Cell(RATE, workers, 0), place))
    redis = stack.enter_context(Redis.from_url(place.url))
    configs = {"default": BucketConfig(rate=f"{RATE}/s", capacity=1000)}
    BucketPublisher(redis).publish(configs)
    queue = JobQueue(redis, JobCatalog.load(["start_notes_app"]), configs, keep_seconds=600)
    rq_queue = Queue("default", connection=redis, serializer="json")
    kind = "simple" if simple else "forking"
    return [
        Subject(f"Spigot, Spigot's {kind} worker", place, lambda: queue.enqueue("note", {})),
        Subject(f"RQ, Spigot's {kind} worker", place, lambda: rq_queue.enqueue("start_notes.note")),
    ]


def rq_subject(stack: ExitStack, workers: int, kind: str) -> Subject:
    """Start RQ's own workers."""
    place = new_place(stack)
    command = [sys.executable, "-m", "rq.cli", "worker", "--url", place.url]
    command += ["--worker-class", f"rq.{kind}", "default"]
    fleet = processes([command] * workers, place.environment, place.folder)
    wait_for_word(stack.enter_context(fleet), "Listening on")
    redis = stack.enter_context(Redis.from_url(place.url))
    queue = Queue("default", connection=redis)
    return Subject(f"RQ, RQ's {kind}", place, lambda: queue.enqueue("start_notes.note"))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
