"""Records what a version of Spigot leaves in Redis: ``python -m tests.recorded.record [COMMIT]``.

All of it is made by that version's own commands, HTTP interface and workers, and by plain RQ;
this program only tells them what to do, and uses nothing of them that a user does not use.
"""

import argparse
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from redis import Redis
from rq import Queue
from rq.job import Job

from tests.support.processes import wait_for
from tests.support.servers import own_server

from .recording import Recording, record

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
LEASE_SECONDS = 5
CLIENT = "203.0.113.5"
"""Who sends the requests."""

KEY = "order-4711"
ALMOST_AN_HOUR = timedelta(minutes=59, seconds=30)
"""For what is delayed last, to be due at about the same time as what was delayed for an hour."""

BUCKETS = {
    "default": {"rate": "50/s", "capacity": 100},
    "held": {"rate": "50/s"},
    "left": {"rate": "50/s"},
    "paused": {"rate": "50/s"},
}
RULES = {
    "default": {"capacity": 1000, "refill_rate": 100},
    "few": {"limit": 2, "window": 86_400, "match": "GET /buckets/few"},
    "slow": {"capacity": 2, "refill_rate": "1/d", "match": "GET /buckets/slow"},
}


@dataclass
class Scene:
    """A version of Spigot at work.

    Attributes:
        folder: With its code, and its files.
        url: Of the server.
        redis: Connection to it.
        jobs: Ids by what state they are to be in.
    """

    folder: Path
    url: str
    redis: Redis
    address: str = ""
    jobs: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": f"{self.folder / 'code'}:{self.folder}",
            "PYTHONDONTWRITEBYTECODE": "1",
            "RECORDING": "1",
            "REDIS_URL": self.url,
            "SPIGOT_APPS": "recorded_jobs",
            "SPIGOT_BUCKETS": str(self.folder / "buckets.json"),
            "SPIGOT_RATE_LIMITS": str(self.folder / "rate_limits.json"),
            "SPIGOT_DATA_DIR": str(self.folder),
            "SPIGOT_LEASE_SECONDS": str(LEASE_SECONDS),
            "SPIGOT_GRACE_SECONDS": "0.2",
            "SPIGOT_TRUSTED_PROXIES": "127.0.0.1/32",
            "SPIGOT_WEB_PROCESSES": "1",
        }

    @contextmanager
    def run(self, *command: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run ``spigot COMMAND`` in a process group of its own, which is killed in the end."""
        with (
            (self.folder / f"{command[0]}.out").open("ab") as output,
            subprocess.Popen(
                [sys.executable, "-P", "-m", "spigot", *command],
                env=self.environment | settings, cwd=self.folder,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            ) as process,
        ):  # fmt: skip
            try:
                yield process
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)

    def spigot(self, *command: str) -> None:
        """Run ``spigot COMMAND`` to its end."""
        subprocess.run(
            [sys.executable, "-P", "-m", "spigot", *command],
            env=self.environment, cwd=self.folder, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip

    @contextmanager
    def worker(self, bucket: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
        with self.run("worker", bucket, "--count", "1", **settings) as process:
            yield process

    def ask(
        self, method: str, path: str, body: Any = None, client: str = CLIENT, **headers: str
    ) -> tuple[int, Any]:
        """Return status and document of one request."""
        return ask(self.address, method, path, body, client, **headers)

    def post(self, name: str, type: str, value: int, priority: str = "default", **headers: str):
        """Take a job in; the recording will name it."""
        body = {"type": type, "payload": {"value": value}, "priority": priority}
        status, job = self.ask("POST", "/jobs", body, **headers)
        assert status == 202, job
        self.jobs[name] = job["id"]

    def name(self, name: str, job: Job) -> Job:
        self.jobs[name] = job.id
        return job

    def wait_for(self, name: str, status: str) -> None:
        path = f"/jobs/{self.jobs[name]}"
        wait_for(lambda: self.ask("GET", path)[1]["status"] == status, 30)


def ask(
    address: str, method: str, path: str, body: Any = None, client: str = CLIENT, **headers: str
) -> tuple[int, Any]:
    """Return status and document of one request of a client."""
    connection = HTTPConnection(address, timeout=90)
    try:
        text = None if body is None else json.dumps(body)
        headers |= {"Content-Type": "application/json", "X-Forwarded-For": client}
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, text, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def ended_jobs(scene: Scene) -> None:
    """Leave jobs that finished, failed, were cancelled, or wait for a retry."""
    with scene.worker("default") as worker:
        scene.post("finished", "echo", 1, Idempotency_Key=KEY)
        scene.post("failed", "broken", 2)
        scene.post("retried", "stumble", 3)
        scene.wait_for("finished", "finished")
        scene.wait_for("failed", "failed")
        scene.wait_for("retried", "delayed")
        worker.terminate()
        worker.wait(30)
    scene.post("cancelled", "echo", 4)
    assert scene.ask("DELETE", f"/jobs/{scene.jobs['cancelled']}")[0] == 200


def interrupted_worker(scene: Scene) -> None:
    """Leave lines that are in no result log, and a dependent that nobody released.

    The worker cannot write its log, and its user may not use WATCH, with which RQ releases.
    """
    user = "on nopass ~* &* +@all -watch"
    scene.redis.execute_command("ACL", "SETUSER", "strict", *user.split())
    rq = Queue("left", connection=scene.redis, serializer="json")
    parent = rq.enqueue("recorded_jobs.double", 5, result_ttl=86_400)
    scene.name("parent", parent)
    scene.name("child", rq.enqueue("recorded_jobs.double", 6, depends_on=parent))
    scene.post("unlogged", "left", 7)
    (scene.folder / "file").touch()
    url = scene.url.replace("unix://", "unix://strict:any@")
    with scene.worker("left", REDIS_URL=url, SPIGOT_RESULT_LOG=str(scene.folder / "file" / "x")):
        scene.wait_for("parent", "finished")
        scene.wait_for("unlogged", "finished")
    scene.redis.execute_command("ACL", "DELUSER", "strict")


def held_bucket(scene: Scene) -> None:
    """Leave a bucket that its downstream holds."""
    scene.post("refused", "refused", 8)
    scene.post("held", "refused", 9, "low")
    with scene.worker("held") as worker:
        wait_for(lambda: scene.ask("GET", "/buckets/held")[1]["held_until"], 30)
        worker.terminate()
        worker.wait(30)


def paused_bucket(scene: Scene) -> None:
    """Leave a bucket that an operator paused, with a job at its head that had begun."""
    scene.post("cut off", "patient", 10)
    with scene.worker("paused") as worker:
        scene.wait_for("cut off", "started")
        worker.terminate()
        worker.wait(30)
    scene.wait_for("cut off", "queued")
    scene.post("paused", "patient", 11)
    scene.spigot("bucket", "pause", "paused")


def operators_words(scene: Scene) -> None:
    """Leave numbers that an operator set, and a change that was taken back."""
    scene.spigot("bucket", "rate", "default", "40/s burst 2")
    scene.spigot("bucket", "capacity", "default", "90")
    scene.spigot("bucket", "max-running", "default", "20")
    scene.spigot("bucket", "capacity", "held", "50")
    scene.spigot("bucket", "reset", "held")


def door(scene: Scene) -> None:
    """Leave spent limits of both algorithms, refusals and a ban."""
    for path in ("/buckets/few", "/buckets/slow"):
        statuses = [scene.ask("GET", path)[0] for _ in range(3)]
        assert statuses == [404, 404, 429], statuses
    wait_for(lambda: next(scene.redis.scan_iter("spigot:1:door:refusals:*"), None), 10)
    scene.spigot("limits", "ban", "203.0.113.66", "--for", "24h")


def waiting_jobs(scene: Scene) -> None:
    """Leave jobs that wait: of all priorities, of plain RQ, for a time, for another job."""
    rq = Queue("default", connection=scene.redis, serializer="json")
    for number, priority in enumerate(("high", "default", "low"), 20):
        scene.post(f"waiting {priority}", "echo", number, priority)
    plain = scene.name("waiting plain", rq.enqueue("recorded_jobs.double", 23))
    scene.name("deferred", rq.enqueue("recorded_jobs.double", 24, depends_on=plain))
    scene.name("scheduled", rq.enqueue_in(ALMOST_AN_HOUR, "recorded_jobs.double", 25))


@contextmanager
def running_jobs(scene: Scene) -> Iterator[None]:
    """Leave a job of a living worker, one of a dead one, and a dead one's that is to stop.

    The living worker stands still, so that nobody writes while the server is recorded.
    """
    with ExitStack() as stack:
        processes = []
        for number, name in enumerate(("living", "dead", "stopping"), 30):
            scene.post(name, "nap", number)
            processes.append(stack.enter_context(scene.worker("default")))
            scene.wait_for(name, "started")
            path = f"/jobs/{scene.jobs[name]}"
            wait_for(lambda path=path: scene.ask("GET", path)[1]["progress"], 30)
        living, *dead = processes
        os.killpg(living.pid, signal.SIGSTOP)
        for process in dead:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(30)
        assert scene.ask("DELETE", f"/jobs/{scene.jobs['stopping']}")[0] == 202
        yield


def make(scene: Scene) -> Iterator[None]:
    """Bring the server into every state; at the yield nobody writes any more."""
    with scene.run("web", "--port", "0") as web:
        output = scene.folder / "web.out"
        wait_for(lambda: b"serving http" in output.read_bytes(), 30)
        scene.address = re.findall(r"serving http://([0-9.:]+)", output.read_text())[-1]
        ended_jobs(scene)
        interrupted_worker(scene)
        held_bucket(scene)
        paused_bucket(scene)
        operators_words(scene)
        door(scene)
        with running_jobs(scene):
            waiting_jobs(scene)
            web.terminate()
            web.wait(30)
            yield


def check_out(commit: str, folder: Path) -> str:
    """Put the code of a commit into ``folder``; return the short name of the commit."""
    git = ["git", "-C", str(ROOT)]
    archive = subprocess.run([*git, "archive", commit], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    name = subprocess.run(
        [*git, "rev-parse", "--short=7", commit], check=True, capture_output=True, text=True
    )
    return name.stdout.strip()


def without_host(text: str) -> str:
    """Take out the name of this machine."""
    return text.replace(socket.gethostname(), "host")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", nargs="?", default="HEAD")
    commit = parser.parse_args().commit
    with TemporaryDirectory(prefix="spigot-recording-") as name, own_server() as server:
        folder = Path(name)
        version = check_out(commit, folder / "code")
        shutil.copy(HERE / "recorded_jobs.py", folder)
        (folder / "buckets.json").write_text(json.dumps(BUCKETS))
        (folder / "rate_limits.json").write_text(json.dumps(RULES))
        scene = Scene(folder, server.url, Redis.from_url(server.url))
        try:
            for _ in make(scene):
                commands = record(scene.redis, without_host)
        except BaseException:
            for path in folder.glob("*.out"):
                print(f"{path.name}:\n{path.read_text()}", file=sys.stderr)
            raise
        path = HERE / f"{version}.jsonl"
        Recording(version, scene.jobs, commands).write(path)
        print(f"{path.relative_to(ROOT)}: {len(commands)} commands, {len(scene.jobs)} jobs")


if __name__ == "__main__":
    main()
