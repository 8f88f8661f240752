"""The systems that ``pace.py`` measures: how each starts its workers and gets its jobs."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from laboratory import processes, wait_for_word
from pace_measure import Cell
from redis import Redis
from rq import Queue

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.store import keys
from spigot.jobs.types.job_catalog import JobCatalog

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Place:
    """Where one measurement is made.

    Attributes:
        url: Of an empty server.
        folder: Empty.
    """

    url: str
    folder: Path

    @property
    def notes(self) -> Path:
        """The file in which jobs note their start."""
        return self.folder / "starts"

    @property
    def environment(self) -> dict[str, str]:
        """What all measured programs are told."""
        return {
            "START_NOTES": str(self.notes),
            "URL": self.url,
            "PYTHONPATH": str(HERE),
            "PYTHONUNBUFFERED": "1",
        }


@dataclass(frozen=True)
class System:
    """A job system.

    Attributes:
        name: With the version, and the way in which it is used.
        fleet: Runs ready workers until the block ends.
        fill: Enqueues the jobs.
    """

    name: str
    fleet: Callable[[Cell, Place], AbstractContextManager[object]]
    fill: Callable[[Cell, Place], None]


def spigot(*, simple: bool, concurrency: int = 1) -> System:
    """Return this system; with more than one job at once, its workers are pools."""
    kind = ["--simple"] if simple else ["--concurrency", str(concurrency)]
    name = "simple workers" if simple else "forking workers" if concurrency == 1 else "pools"

    @contextmanager
    def fleet(cell: Cell, place: Place) -> Iterator[None]:
        numbers = {"rate": f"{cell.rate}/s", "capacity": cell.jobs}
        (place.folder / "buckets.json").write_text(json.dumps({"default": numbers}))
        environment = place.environment | {
            "REDIS_URL": place.url,
            "SPIGOT_APPS": "start_notes_app",
            "SPIGOT_DATA_DIR": str(place.folder),
            "SPIGOT_BUCKETS": str(place.folder / "buckets.json"),
        }
        command = [sys.executable, "-m", "spigot", "worker", "default", *kind]
        with processes([[*command, "--count", str(cell.workers)]], environment, place.folder):
            with Redis.from_url(place.url) as redis:
                while redis.zcard(keys.workers("default")) < cell.workers:
                    time.sleep(0.05)
            yield

    def fill(cell: Cell, place: Place) -> None:
        sys.path.insert(0, str(HERE))
        configs = {"default": BucketConfig(rate=f"{cell.rate}/s", capacity=cell.jobs)}
        with Redis.from_url(place.url) as redis:
            BucketPublisher(redis).publish(configs)
            catalog = JobCatalog.load(["start_notes_app"])
            queue = JobQueue(redis, catalog, configs, keep_seconds=600)
            for _ in range(cell.jobs):
                queue.enqueue("note", {})

    return System(f"Spigot, {name}", fleet, fill)


def plain_rq(python: Path) -> System:
    """Return RQ, which has no limit: what its workers do when nothing paces them."""

    @contextmanager
    def fleet(cell: Cell, place: Place) -> Iterator[None]:
        rq = [python.with_name("rq"), "worker", "--url", place.url, "--worker-class"]
        commands = [[*rq, "rq.SimpleWorker", "default"] for _ in range(cell.workers)]
        with processes(commands, place.environment, place.folder) as outputs:
            wait_for_word(outputs, "Listening on")
            yield

    def fill(cell: Cell, place: Place) -> None:
        with Redis.from_url(place.url) as redis:
            queue = Queue("default", connection=redis)
            for _ in range(cell.jobs):
                queue.enqueue("start_notes.note")

    return System("RQ, which has no limit", fleet, fill)


def celery(python: Path, *, shared: bool) -> System:
    """Return Celery with its ``rate_limit``, which each worker keeps for itself.

    Args:
        python: Of its environment.
        shared: Whether each worker is told its part of the rate, as one must do by hand, or all
            of it.
    """

    def environment(cell: Cell, place: Place) -> dict[str, str]:
        each = cell.rate / cell.workers if shared else cell.rate
        return place.environment | {"RATE": f"{each * 3600:.0f}/h" if shared else f"{each}/s"}

    @contextmanager
    def fleet(cell: Cell, place: Place) -> Iterator[None]:
        run = [python, "-m", "celery", "-A", "start_notes_celery", "worker", "--concurrency", "1"]
        commands = [[*run, "-l", "INFO", "-n", f"{n}@%h"] for n in range(cell.workers)]
        with processes(commands, environment(cell, place), place.folder) as outputs:
            wait_for_word(outputs, "ready.")
            yield

    def fill(cell: Cell, place: Place) -> None:
        command = [python, HERE / "start_notes_celery.py", str(cell.jobs)]
        subprocess.run(command, env=environment(cell, place), check=True)

    how = "rate_limit divided" if shared else "rate_limit"
    return System(f"Celery, {how}", fleet, fill)


def bullmq(modules: Path, *, even: bool) -> System:
    """Return BullMQ with its limiter.

    Args:
        modules: With the package.
        even: Whether it is told one job per interval, or as many per second as the rate has.
    """

    def environment(place: Place) -> dict[str, str]:
        return place.environment | {"NODE_PATH": str(modules)}

    @contextmanager
    def fleet(cell: Cell, place: Place) -> Iterator[None]:
        limit = ["1", str(1000 / cell.rate)] if even else [str(cell.rate), "1000"]
        command = ["node", HERE / "start_notes_bullmq.js", "worker", *limit]
        with processes([command] * cell.workers, environment(place), place.folder) as outputs:
            wait_for_word(outputs, "ready")
            yield

    def fill(cell: Cell, place: Place) -> None:
        command = ["node", HERE / "start_notes_bullmq.js", "fill", str(cell.jobs)]
        subprocess.run(command, env=environment(place), check=True)

    return System(f"BullMQ, {'1 per interval' if even else 'windows of 1 s'}", fleet, fill)
