"""Kills at random moments under load, and then the books must balance.

The seed is printed; ``KILL_SEED=… pytest -m slow tests/worker/test_random_kills.py`` makes the
same choices again, though the machine's timing is another.
"""

import os
import random
import signal
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from rq import Queue

from spigot.jobs.job.cancelling import JobCanceller
from tests.support.consistency import kept_lines, problems, problems_of_log, read_lines, status_of
from tests.support.fast_workers import WorkerProcess
from tests.support.processes import wait_for

RATE = 125
WAITING = 40
"""So many jobs wait at least, that workers are killed at work."""

SETTINGS = {"lease_seconds": 1, "grace_seconds": 0.2}
SAMPLE = "tests.support.worker_jobs"
ENDED = {"finished", "failed", "canceled"}


@dataclass(frozen=True)
class Fleet:
    """Which workers are killed, how often, and what they run.

    Attributes:
        workers: How many live at a time.
        kills: How many of them, or of their children, are killed or stopped.
        job_types: One of which a job of ours is, as often as it is named.
        options: Of each worker.
    """

    workers: int
    kills: int
    job_types: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=lambda: dict(SETTINGS))


HARMLESS = ("echo", "note", "stumble", "refused", "nap_a_little")
FLEETS = {
    "forking workers": Fleet(6, 200, (*HARMLESS, "die")),
    # a job that kills its pool takes others along, and runs alone from then on: it must be rare
    "pools": Fleet(
        3, 80, (*HARMLESS, "nap_on_loop") * 15 + ("die",), {**SETTINGS, "concurrency": 8}
    ),
}


@pytest.fixture
def seed() -> int:
    seed = int(os.environ.get("KILL_SEED") or random.randrange(1_000_000))
    print(f"KILL_SEED={seed}")
    return seed


@pytest.fixture
def numbers():
    return {"rate": f"{RATE}/s", "capacity": 100_000}


class Clients:
    """Enqueue jobs of every kind, and cancel some.

    Attributes:
        accepted: Ids of the jobs.
    """

    def __init__(self, redis, job_queue, job_types, rng: random.Random) -> None:
        self.accepted: list[str] = []
        self._job_types = job_types
        self._redis = redis
        self._ours = job_queue
        self._theirs = [
            Queue(name, connection=redis, serializer="json") for name in ("default", "default-low")
        ]
        self._canceller = JobCanceller(redis, keep_seconds=600)
        self._rng = rng

    def keep_busy(self) -> None:
        while sum(self._redis.llen(f"rq:queue:{queue.name}") for queue in self._theirs) < WAITING:
            self._rng.choice([self._enqueue_ours, self._enqueue_ours, self._enqueue_theirs])()

    def cancel_one(self) -> None:
        self._canceller.cancel(self._rng.choice(self.accepted[-2 * WAITING :]))

    def _enqueue_ours(self) -> None:
        name = self._rng.choice(self._job_types)
        payload = {"value": 1} if name == "echo" else {}
        priority = self._rng.choice(["high", "default", "low"])
        self.accepted.append(self._ours.enqueue(name, payload, priority).id)

    def _enqueue_theirs(self) -> None:
        queue = self._rng.choice(self._theirs)
        match self._rng.choice(["plain", "in a second", "family"]):
            case "plain":
                name = self._rng.choice(["double", "fail"])
                jobs = [queue.enqueue(f"{SAMPLE}.{name}", args=[2] if name == "double" else [])]
            case "in a second":  # or at once, with workers looking on between RQ's two steps
                seconds = self._rng.choice([0, 1])
                jobs = [queue.enqueue_in(timedelta(seconds=seconds), f"{SAMPLE}.double", 3)]
            case _:
                parent = queue.enqueue(f"{SAMPLE}.double", 4)
                jobs = [
                    parent, *(queue.enqueue(f"{SAMPLE}.double", 5, depends_on=parent) for _ in "ab")
                ]  # fmt: skip
        self.accepted += [job.id for job in jobs]


class Killer:
    """Ends workers and work horses, of which each is replaced, and does other harm.

    Attributes:
        deeds: What was done how often.
        stopped: The workers that were asked to stop.
    """

    def __init__(self, redis, start, fleet: Fleet, rng: random.Random) -> None:
        self.deeds: Counter[str] = Counter()
        self.stopped: list[WorkerProcess] = []
        self._redis = redis
        self._start = partial(start, **fleet.options)
        self._rng = rng
        self._workers = [self._start() for _ in range(fleet.workers)]

    @property
    def kills(self) -> int:
        return sum(self.deeds[deed] for deed in ("worker", "horse", "both", "stop"))

    def strike(self) -> None:
        """Do harm to one of the workers, chosen by chance, or to their connections."""
        deed = self._rng.choice(["worker", "horse", "both", "stop"] * 4 + ["freeze", "cut"])
        place = self._rng.randrange(len(self._workers))
        worker = self._workers[place]
        match deed:
            case "worker":
                worker.kill()
            case "horse" if not worker.kill_horses():
                return  # it had none
            case "both":
                worker.kill_with_horse()
            case "stop":
                worker.send(signal.SIGTERM)
                self.stopped.append(worker)
            case "freeze":  # for longer than its lease
                worker.send(signal.SIGSTOP)
                threading.Timer(1.5, worker.send, [signal.SIGCONT]).start()
            case "cut":
                self._redis.script_flush()
                self._redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self.deeds[deed] += 1
        if deed in ("worker", "both", "stop"):
            self._workers[place] = self._start()

    def stop_all(self) -> None:
        for worker in self._workers:
            worker.send(signal.SIGTERM)
        self.stopped += self._workers


def stopped_in_order(worker: WorkerProcess) -> bool:
    """One that was asked when it had hardly begun heeds no signal yet, and has claimed nothing."""
    return worker.wait() == 0 or (worker.wait() == -signal.SIGTERM and not worker.log)


def wait_until_still(redis, accepted) -> None:
    """Return once the server has done what the ended processes had sent: the look takes a while."""
    with suppress(AssertionError):
        wait_for(lambda: not list(problems(redis, "default", accepted)), 5)


def has_ended(redis, job_id: str) -> bool:
    """RQ never runs what depends on a job that failed or was cancelled."""
    status = status_of(redis, job_id)
    return status in ENDED or (status == "deferred" and bool(lost_parents(redis, job_id)))


def lost_parents(redis, job_id: str) -> list[str]:
    parents = redis.smembers(f"rq:job::{job_id}:dependencies")
    return [p for p in parents if status_of(redis, p.decode()) in ("failed", "canceled")]


@pytest.mark.slow
@pytest.mark.timeout(700)
@pytest.mark.parametrize("fleet", FLEETS.values(), ids=FLEETS)
def test_the_books_balance_after_kills_at_random(
    fleet, seed, redis, job_queue, start_worker, tmp_path
):
    rng = random.Random(seed)
    clients = Clients(redis, job_queue, fleet.job_types, rng)
    killer = Killer(redis, start_worker, fleet, rng)
    while killer.kills < fleet.kills:
        clients.keep_busy()
        clients.cancel_one()
        time.sleep(rng.random() * 0.2)
        killer.strike()
    print(f"{len(clients.accepted)} jobs, {dict(killer.deeds)}")

    killer.stop_all()
    assert not [worker.log for worker in killer.stopped if not stopped_in_order(worker)]
    wait_until_still(redis, clients.accepted)
    assert not list(problems(redis, "default", clients.accepted))

    last = [start_worker(**fleet.options) for _ in range(2)]
    wait_for(lambda: all(has_ended(redis, id_) for id_ in clients.accepted), 120)
    print(dict(Counter(status_of(redis, id_) for id_ in clients.accepted)))
    assert not list(problems(redis, "default", clients.accepted))
    assert [worker.stop() for worker in last] == [0, 0]  # or a line might go from here to there
    lines = read_lines(tmp_path / "results.jsonl") + kept_lines(redis, "default")
    ended = [id_ for id_ in clients.accepted if status_of(redis, id_) in ENDED]
    assert not list(problems_of_log(redis, lines, ended, interval=1 / RATE))
