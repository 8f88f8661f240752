"""Processes of Spigot on a test's server: workers, web, whichever the test needs."""

import json
import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from redis import Redis

from spigot.jobs.bucket.config import load_bucket_configs
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.types.job_catalog import JobCatalog

from .processes import wait_for, whole_lines
from .warm_python import WarmProcess, warm_python

ROOT = Path(__file__).parents[2]
APP = "tests.support.outcome_app"


@dataclass(frozen=True)
class Web:
    """A running API."""

    process: WarmProcess
    host: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def submit(self, type: str = "echo", **payload: Any) -> str:
        """Enqueue a job; return its id."""
        status, job = self.ask("POST", "/jobs", {"type": type, "payload": payload})
        assert status == 202, job
        return job["id"]

    def status_of(self, job_id: str) -> str:
        """Return the status of a job."""
        return self.ask("GET", f"/jobs/{job_id}")[1]["status"]

    def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}
    ) -> tuple[int, Any]:
        """Return status and document of one request."""
        connection = HTTPConnection(self.host, self.port, timeout=30)
        try:
            text = None if body is None else json.dumps(body)
            connection.request(method, path, text, {"Content-Type": "application/json", **headers})
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or b"null")
        finally:
            connection.close()

    def open(self, path: str) -> socket.socket:
        """Send a request and return its connection, for answers that take their time."""
        connection = socket.create_connection((self.host, self.port), timeout=30)
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {self.host}\r\n\r\n".encode())
        return connection


@dataclass
class Fleet:
    """What the processes share.

    Attributes:
        url: Of the server.
        folder: Of their files; nobody else uses it.
        rate: Of the bucket ``default``.
        settings: Further environment variables.
        open_files: How many each process may open; 0 for as many as the tests.
    """

    url: str
    folder: Path
    rate: str = "100/s"
    settings: dict[str, str] = field(default_factory=dict)
    open_files: int = 0

    def __post_init__(self) -> None:
        self.set_rate(self.rate)
        (self.folder / "rate_limits.json").write_text("{}")

    def set_rate(self, rate: str) -> None:
        (self.folder / "buckets.json").write_text(json.dumps({"default": {"rate": rate}}))

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "REDIS_URL": self.url,
            "SPIGOT_APPS": APP,
            "SPIGOT_BUCKETS": str(self.folder / "buckets.json"),
            "SPIGOT_DATA_DIR": str(self.folder),
            "SPIGOT_RATE_LIMITS": str(self.folder / "rate_limits.json"),
            **self.settings,
        }

    @contextmanager
    def run(self, *command: str, stop: int = signal.SIGTERM) -> Iterator[WarmProcess]:
        """Run ``spigot COMMAND`` in the background; its output is in the folder."""
        output = (self.folder / f"{command[0]}.out").open("ab")
        with (
            output,
            warm_python().start(
                "-m", "spigot", *command, output=output, errors=output, **self._place
            ) as process,
        ):
            try:
                yield process
            finally:
                process.send_signal(stop)
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    raise

    def workers(self, count: int = 1, *options: str):
        """Run workers of the bucket ``default``."""
        return self.run("worker", "default", "--count", str(count), *options)

    @contextmanager
    def web(self) -> Iterator[Web]:
        """Run the API on a free port."""
        with self.run("web", "--port", "0") as process:
            output = self.folder / "web.out"
            wait_for(lambda: b"serving http" in output.read_bytes())
            url = re.findall(rb"serving http://([0-9.:]+)", output.read_bytes())[-1].decode()
            host, port = url.split(":")
            yield Web(process, host, int(port))

    def spigot(self, *command: str) -> "subprocess.CompletedProcess[str]":
        """Run ``spigot COMMAND`` to its end."""
        return warm_python().run("-m", "spigot", *command, **self._place)

    @property
    def _place(self) -> dict[str, Any]:
        return {
            "environment": self.environment,
            "folder": self.folder,
            "open_files": self.open_files,
        }

    def queue(self, redis: Redis) -> JobQueue:
        """Return what the web enqueues with."""
        configs = load_bucket_configs(self.folder / "buckets.json")
        BucketPublisher(redis).publish(configs)
        return JobQueue(redis, JobCatalog.load([APP]), configs, keep_seconds=600)

    def log(self) -> list[dict[str, Any]]:
        """Return the lines of the result log."""
        path = self.folder / "results.jsonl"
        return [json.loads(line) for line in whole_lines(path)]

    def notes(self, name: str) -> list[float]:
        """Return the times at which jobs left a note of that name, Unix seconds."""
        path = self.folder / f"{name}.note"
        return [float(line.split()[0]) for line in whole_lines(path)]

    def lines_of(self, job_id: str) -> list[dict[str, Any]]:
        return [line for line in self.log() if line["id"] == job_id]

    def wait_for_lines(self, count: int, seconds: float = 30) -> list[dict[str, Any]]:
        """Wait until the result log has that many lines."""
        wait_for(lambda: len(self.log()) >= count, seconds)
        return self.log()
