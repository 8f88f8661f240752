"""The life of a few jobs, disturbed at one of the round trips that worker and horse make."""

import json
import signal
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from redis import Redis
from rq import Queue

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.types.job_catalog import JobCatalog

from .consistency import kept_lines, problems, problems_of_log, read_lines, status_of
from .counting_proxy import CountingProxy, Moment
from .fast_workers import ForkServer, WorkerProcess
from .processes import wait_for
from .servers import Server

RATE = 100
NUMBERS = {
    "rate": f"{RATE}/s",
    "budgets": {
        "jobs": {"limit": "6000/m", "burst": 3, "cost": 1, "default_cost": 1},
        "starts": {"limit": "6000/m", "burst": 50, "cost": 1, "counted": "at_start"},
    },
}
SAMPLE = "tests.support.worker_jobs"
ENDED = {"finished", "failed", "canceled"}

PATIENCE = 60.0
"""Seconds that anything may take: on a quiet machine a life takes one or two."""

PAUSE = 0.05
"""Seconds between two looks: many lives go on at a time."""

Deed = Literal[
    "kill worker", "kill worker and horse", "terminate worker", "cut connection", "restart server"
]


@dataclass
class JobLife:
    """Jobs of each kind, on a database of their own, and a worker behind a proxy.

    Attributes:
        number: Of the round trip at which the deed is done; 0 for none.
        moment: Before it is passed on, or before its answer is.
        deed: What is done there.
        done: Whether it was done.
        concurrency: How many jobs the worker runs at once.
    """

    server: Server
    fork_server: ForkServer
    catalog: JobCatalog
    folder: Path
    database: int
    queues: list[str]
    deed: Deed
    number: int = 0
    moment: Moment = "asked"
    done: bool = False
    concurrency: int = 1
    accepted: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.redis = Redis(unix_socket_path=str(self.server.socket), db=self.database)
        self._socket = self.server.socket.parent / f"{self.folder.name}.sock"
        self._is_started = threading.Event()
        self._proxy = CountingProxy(self.server.socket, self._socket, self._act)

    def live(self) -> Iterator[str]:
        """Live it to its end, and say what is wrong with that; nothing if all is well."""
        self._enqueue()
        try:
            self.worker = self._start_worker(self._socket)
            self._is_started.set()
            wait_for(lambda: self.done or self._all_ended(), PATIENCE, pause=PAUSE)
            yield from self._set_right()
        except AssertionError as error:
            yield f"{error}; {[(i, status_of(self.redis, i)) for i in self.accepted]}"
        finally:
            self.worker.kill()
            self._proxy.close()
            self.redis.close()

    @property
    def round_trips(self) -> int:
        return self._proxy.count

    def _enqueue(self) -> None:
        self.redis.flushdb()
        numbers = BucketConfig.model_validate(NUMBERS)
        ours = JobQueue(self.redis, self.catalog, {"default": numbers}, keep_seconds=600)
        for name in ("note", "stumble", "refused"):
            priority = "high" if name == "refused" and len(self.queues) > 1 else "default"
            self.accepted.append(ours.enqueue(name, {}, priority).id)
        theirs = Queue(self.queues[-1], connection=self.redis, serializer="json")
        parent = theirs.enqueue(f"{SAMPLE}.double", 1)
        child = theirs.enqueue(f"{SAMPLE}.double", 2, depends_on=parent)
        self.accepted += [parent.id, child.id]
        if self.deed == "restart server":  # as if all this had been two seconds ago
            self.redis.execute_command("WAITAOF", 1, 0, 10_000)

    def _start_worker(self, socket: Path) -> WorkerProcess:
        (self.folder / "buckets.json").write_text(json.dumps({"default": NUMBERS}))
        settings = {
            "buckets": str(self.folder / "buckets.json"),
            "redis_url": f"unix://{socket}?db={self.database}",
            "data_dir": str(self.folder),
            "lease_seconds": 1,
            "max_reaps": 9,
        }
        log_path = self.folder / f"{socket.name}.log"
        return self.fork_server.start(
            settings, queues=self.queues, log_path=log_path, concurrency=self.concurrency
        )

    def _act(self, number: int, moment: Moment) -> bool:
        if self.done or (number, moment) != (self.number, self.moment):
            return True
        self._is_started.wait()
        match self.deed:
            case "kill worker":
                self.worker.kill()
            case "kill worker and horse":
                self.worker.kill_with_horse()
            case "terminate worker":
                self.worker.send(signal.SIGTERM)
            case "cut connection":
                pass  # what came is not passed on
            case "restart server":
                self.server.kill()
                self.server.start()
        self.done = True
        return self.deed == "terminate worker"

    def _all_ended(self) -> bool:
        with self.redis.pipeline() as pipeline:
            for job_id in self.accepted:
                pipeline.hget(f"rq:job:{job_id}", "status")
            return {(status or b"").decode() for status in pipeline.execute()} <= ENDED

    def _set_right(self) -> Iterator[str]:
        """Let another worker do what is left, if this one has ended; then look what is wrong."""
        if not self.done or self.deed in ("cut connection", "restart server"):
            wait_for(self._all_ended, PATIENCE, pause=PAUSE)
            wait_for(lambda: "serves bucket" in self.worker.log, PATIENCE, pause=PAUSE)
            self.worker.send(signal.SIGTERM)  # the deed may be done while it stops
        code = self.worker.wait()
        if code != 0 and not (code == -signal.SIGKILL and self.deed.startswith("kill")):
            yield f"the worker ended with {code}: {self.worker.log}"
        if self.done:
            other = self._start_worker(self.server.socket)
            try:
                wait_for(self._all_ended, PATIENCE, pause=PAUSE)
                wait_for(lambda: "serves bucket" in other.log, PATIENCE, pause=PAUSE)
                if other.stop() != 0:
                    yield f"the other worker ended with {other.exit_code()}: {other.log}"
            finally:
                other.kill()
        yield from problems(self.redis, "default", self.accepted)
        lines = read_lines(self.folder / "results.jsonl")
        kept = kept_lines(self.redis, "default")
        yield from problems_of_log(self.redis, lines + kept, self.accepted, 1 / RATE)
