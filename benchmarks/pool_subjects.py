"""The systems that ``pool_systems.py`` measures: how each starts its workers and gets its jobs."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from laboratory import (
    NotInstalledError,
    node_modules,
    python_environment,
    version_of_node_package,
)

HERE = Path(__file__).parent
VERSION = "import sys; from importlib.metadata import version; print(version(sys.argv[1]))"

Command = list[str | Path]


@dataclass(frozen=True)
class System:
    """A job system, and the way in which it is used.

    Attributes:
        name: With the version.
        keeps: What it keeps of the results, as it is by default.
        workers: Returns the programs that together run so many jobs at once.
        enqueue: The program that takes a kind of job, how many, and what each is given.
        environment: What its programs are told besides the server and the file of notes.
        kind: Ends the names of its jobs, where it has more than one way to run them.
        a_process_each: Whether each place is a process of its own.
        in_rates: How many places it has while it runs jobs that do nothing; None for as many as
            wait elsewhere.
    """

    name: str
    keeps: str
    workers: Callable[[int], list[Command]]
    enqueue: Command
    environment: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    a_process_each: bool = False
    in_rates: int | None = None


def systems_at_hand() -> Iterator[System]:
    """Yield those that Spigot's own environment has: itself, and its RQ."""
    yield spigot("coroutines", "_async")
    yield spigot("functions", "")
    yield from rq(Path(sys.executable))


def others(folder: Path) -> Iterator[System]:
    """Install the others, each into an environment of its own; name those that cannot be."""
    makers = {
        "RQ": lambda: rq(python_environment(folder / "rq", "rq", "hiredis")),
        "Celery": lambda: celery(python_environment(folder / "celery", "celery[redis]")),
        "Dramatiq": lambda: dramatiq(python_environment(folder / "dramatiq", "dramatiq[redis]")),
        "Huey": lambda: huey(python_environment(folder / "huey", "huey", "redis")),
        "BullMQ": lambda: bullmq(node_modules(folder / "node", "bullmq", "ioredis")),
    }
    for name, make in makers.items():
        try:
            yield from make()
        except NotInstalledError as error:
            print(f"{name} is not measured: {error}", flush=True)


def spigot(how: str, kind: str) -> System:
    """Return this system's pool.

    Args:
        how: Says what its jobs are.
        kind: Ends their names.
    """
    environment = {
        "SPIGOT_APPS": "waiting_jobs_spigot",
        "SPIGOT_GRACE_SECONDS": "1",
        "SPIGOT_BUCKETS": str(HERE / "waiting_jobs_buckets.json"),
        "SPIGOT_DATA_DIR": ".",
    }

    def workers(places: int) -> list[Command]:
        return [[sys.executable, "-m", "spigot", "worker", "--concurrency", str(places)]]

    return System(
        f"Spigot's pool, {how}",
        "a day, with log line, event and metrics",
        workers,
        [sys.executable, HERE / "waiting_jobs_spigot.py"],
        environment,
        kind,
    )


def rq(python: Path) -> Iterator[System]:
    """Yield RQ with simple workers, started one by one and by its own pool."""
    name = f"RQ {version(python, 'rq')}"
    program, worker = python.with_name("rq"), ["--worker-class", "rq.SimpleWorker"]

    def one_by_one(places: int) -> list[Command]:
        return [[program, "worker", *worker] for _ in range(places)]

    def pool(places: int) -> list[Command]:
        return [[program, "worker-pool", *worker, "--num-workers", str(places)]]

    cores = os.cpu_count() or 1
    enqueue: Command = [python, HERE / "waiting_jobs_rq.py"]
    for how, workers, in_rates in (
        ("simple workers", one_by_one, 1),
        ("worker-pool of simple workers", pool, cores),
    ):
        as_used = f"{name}, {how}"
        yield System(as_used, "500 s", workers, enqueue, a_process_each=True, in_rates=in_rates)


def celery(python: Path) -> Iterator[System]:
    """Yield Celery's threads, without results, as is the default, and with them."""
    name = f"Celery {version(python, 'celery')}, threads"

    def workers(places: int) -> list[Command]:
        run: Command = [python, "-m", "celery", "-A", "waiting_jobs_celery", "worker"]
        return [[*run, "--pool", "threads", "--concurrency", str(places)]]

    enqueue: Command = [python, HERE / "waiting_jobs_celery.py"]
    yield System(name, "no", workers, enqueue)
    yield System(f"{name}, told to keep results", "a day", workers, enqueue, {"KEEP": "1"})


def dramatiq(python: Path) -> Iterator[System]:
    """Yield Dramatiq's threads."""

    def workers(places: int) -> list[Command]:
        run: Command = [python.with_name("dramatiq"), "waiting_jobs_dramatiq", "--processes", "1"]
        return [[*run, "--threads", str(places)]]

    name = f"Dramatiq {version(python, 'dramatiq')}, threads"
    yield System(name, "no", workers, [python, HERE / "waiting_jobs_dramatiq.py"])


def huey(python: Path) -> Iterator[System]:
    """Yield Huey's threads."""

    def workers(places: int) -> list[Command]:
        run: Command = [python.with_name("huey_consumer"), "waiting_jobs_huey.huey"]
        return [[*run, "--worker-type", "thread", "--workers", str(places)]]

    name = f"Huey {version(python, 'huey')}, threads"
    yield System(name, "until it is read", workers, [python, HERE / "waiting_jobs_huey.py"])


def bullmq(modules: Path) -> Iterator[System]:
    """Yield BullMQ, whose jobs are promises."""
    program: Command = ["node", HERE / "waiting_jobs_bullmq.js"]

    def workers(places: int) -> list[Command]:
        return [[*program, "worker", str(places)]]

    name = f"BullMQ {version_of_node_package(modules, 'bullmq')}, promises"
    yield System(name, "for ever", workers, program, {"NODE_PATH": str(modules)})


def version(python: Path, library: str) -> str:
    """Return the version of a library in the environment of a Python."""
    command = [python, "-c", VERSION, library]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
