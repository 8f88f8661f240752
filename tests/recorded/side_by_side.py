"""Upgrades under load: ``python -m tests.recorded.side_by_side [COMMIT]``, in about two minutes.

The version of COMMIT (without it: of the commit before the present one) and the present one serve
one server side by side: workers are replaced first, then web first, and the same back to the older
version. Clients post jobs all the time, to whichever web is there, and repeat what was not answered
or answered with 503 under the same idempotency key. In the end every job that was accepted must
have finished, or the program ends with status 1.
"""

import argparse
import json
import shutil
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from http.client import HTTPException
from itertools import count
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory

from redis import Redis

from tests.support.consistency import problems, read_lines, status_of
from tests.support.processes import wait_for
from tests.support.servers import own_server

from .record import HERE, Scene, ask, check_out

BUCKETS = {"default": {"rate": "40/s", "capacity": 10_000}}
PAUSE_SECONDS = 0.02
"""Between two posts: somewhat faster than the bucket, so that jobs wait."""

STEP_SECONDS = 2.0
MOST_SECONDS = 60
WORKERS_FIRST, WEB_FIRST = ("worker", "web"), ("web", "worker")


class Version:
    """A version of Spigot, of which a web and workers may run.

    Args:
        folder: For its code and its files.
        commit: Whose code it is.
        redis: Connection to the server.
        url: Of the server.
    """

    def __init__(self, folder: Path, commit: str, redis: Redis, url: str) -> None:
        self.name = check_out(commit, folder / "code")
        shutil.copy(HERE / "recorded_jobs.py", folder)
        (folder / "buckets.json").write_text(json.dumps(BUCKETS))
        (folder / "rate_limits.json").write_text("{}")
        self.folder, self._redis = folder, redis
        self._scene = Scene(folder, url, redis)
        self._running: dict[str, tuple[ExitStack, Popen[bytes]]] = {}

    def start(self, part: str) -> None:
        """Start ``web`` or ``worker``, and wait until it serves; it may refuse to."""
        command = {"web": ["web", "--port", "0"], "worker": ["worker", "--count", "2"]}[part]
        known = self._redis.scard("rq:workers")
        stack = ExitStack()
        process = stack.enter_context(self._scene.run(*command))
        self._running[part] = (stack, process)

        def serves() -> bool:
            if part == "web":
                return self.address is not None
            return self._redis.scard("rq:workers") > known

        wait_for(lambda: serves() or process.poll() is not None, 30)

    @property
    def address(self) -> str | None:
        """Where its web listens; None if none runs."""
        if "web" not in self._running:
            return None
        output = (self.folder / "web.out").read_text()
        return output.rpartition("serving http://")[2].partition('"')[0].strip() or None

    def stop(self, part: str) -> None:
        """End it gracefully."""
        stack, process = self._running[part]
        with stack:
            process.terminate()
            process.wait(30)
        del self._running[part]
        if part == "web":
            (self.folder / "web.out").write_text("")

    def stop_all(self) -> None:
        """End what runs."""
        for part in list(self._running):
            self.stop(part)


@dataclass
class Clients:
    """Post jobs until they are told to stop.

    Attributes:
        versions: To whose webs they post, in turns.
        accepted: Ids of the jobs.
        answers: How many there were of each status; 0 for none.
    """

    versions: tuple[Version, Version]
    accepted: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    stopped: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        for number in count():
            if self.stopped.is_set():
                return
            self._post_until_accepted(number)
            time.sleep(PAUSE_SECONDS)

    def _post_until_accepted(self, number: int) -> None:
        for turn in count(number):
            status, job = self._post(turn, number)
            self.answers[status] += 1
            if status in (200, 202):
                self.accepted.add(job["id"])
                return
            if turn > number and self.stopped.is_set():
                return
            time.sleep(PAUSE_SECONDS)

    def _post(self, turn: int, number: int) -> tuple[int, dict[str, str]]:
        address = self.versions[turn % 2].address or self.versions[turn % 2 - 1].address
        body = {"type": "echo", "payload": {"value": number}}
        try:
            return ask(str(address), "POST", "/jobs", body, Idempotency_Key=f"order-{number}")
        except (OSError, HTTPException):
            return 0, {}


def replace(old: Version, new: Version, order: tuple[str, str], redis: Redis) -> str:
    """Replace the parts of one version by those of the other; return what came of the jobs.

    Raises:
        AssertionError: A job was lost, or is in two places.
    """
    clients = Clients((old, new))
    thread = threading.Thread(target=clients.run)
    try:
        old.start("web")
        old.start("worker")
        thread.start()
        for part in order:
            time.sleep(STEP_SECONDS)
            new.start(part)
            time.sleep(STEP_SECONDS)  # both serve
            old.stop(part)
        time.sleep(STEP_SECONDS)
        clients.stopped.set()
        thread.join()
        wait_until_ended(redis, clients.accepted)
        assert not list(problems(redis, "default", clients.accepted))
    finally:
        clients.stopped.set()
        new.stop_all()
        old.stop_all()
    return summary(clients, old, new)


def wait_until_ended(redis: Redis, ids: set[str]) -> None:
    """Wait until every job has finished."""
    deadline = time.monotonic() + MOST_SECONDS
    while unfinished := {each for each in ids if status_of(redis, each) != "finished"}:
        if time.monotonic() > deadline:
            raise AssertionError(f"{len(unfinished)} of {len(ids)} accepted jobs did not finish")
        time.sleep(0.2)


def summary(clients: Clients, *versions: Version) -> str:
    """Say how many jobs there were, what clients were told, and what ran twice."""
    files = [version.folder / "results.jsonl" for version in versions]
    lines = Counter(line["id"] for file in files if file.exists() for line in read_lines(file))
    again = sum(1 for each in clients.accepted if lines[each] > 1)
    answers = ", ".join(
        f"{n} x {status or 'none'}" for status, n in sorted(clients.answers.items())
    )
    return f"{len(clients.accepted)} accepted and finished, {again} in two attempts; {answers}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", nargs="?", default="HEAD~1")
    commit = parser.parse_args().commit
    for back in (False, True):
        for order in (WORKERS_FIRST, WEB_FIRST):
            with TemporaryDirectory(prefix="spigot-upgrade-") as name, own_server() as server:
                redis = Redis.from_url(server.url)
                pair = [
                    Version(Path(name) / each, each, redis, server.url) for each in (commit, "HEAD")
                ]
                old, new = reversed(pair) if back else pair
                words = f"{old.name} to {new.name}, {order[0]} first"
                print(f"{words}: {replace(old, new, order, redis)}", flush=True)


if __name__ == "__main__":
    main()
