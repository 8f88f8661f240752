"""Every move that a job can make, one after the other, through the scripts alone."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from redis import Redis, ResponseError
from rq import Queue, Repeat
from rq.serializers import JSONSerializer

import spigot.jobs
import spigot.worker
from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.control import BucketControl
from spigot.jobs.job.clearing import JobClearer
from spigot.jobs.job.queue import IdempotencyKey
from spigot.jobs.job.requeueing import JobRequeuer
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport, Hold
from spigot.worker.leases.lease_answers import Reaped
from spigot.worker.leases.lost_jobs import LostJobs

from .clocked_bucket import KEEP_SECONDS, SECOND_US, ClockedBucket, work
from .consistency import places, status_of

ENDED = {"finished", "failed", "canceled"}
QUEUES = keys.queue_names("default")
CALL = re.compile(r'\b(?:redis\.p?call|lenient|try)\("([A-Z]+)"')


def commands_of_scripts() -> list[str]:
    """Return each command that a script of jobs and workers calls."""
    folders = [Path(package.__file__ or "").parent for package in (spigot.jobs, spigot.worker)]
    texts = [path.read_text() for folder in folders for path in folder.rglob("*.lua")]
    return sorted({command for text in texts for command in CALL.findall(text)})


BUDGETS = {
    "jobs": {"limit": "6000/m", "burst": 50, "cost": 1, "default_cost": 1},
    "starts": {"limit": "6000/m", "burst": 50, "cost": 1, "counted": "at_start"},
}


class AllMoves:
    """Jobs that are named by what becomes of them.

    Args:
        admin: May do everything; stands for what Spigot has no part in.
        redis: The connection of the scripts.
    """

    def __init__(self, admin: Redis, redis: Redis) -> None:
        self.admin, self.redis = admin, redis
        self.bucket = ClockedBucket(
            redis,
            now_us=time.time_ns() // 1000,  # not every script is told
            budgets=BUDGETS,
        )
        self.clearer = JobClearer(redis, keep_seconds=KEEP_SECONDS, by="ada")
        self.requeuer = JobRequeuer(redis)
        self.control = BucketControl(redis, by="ada")
        self.accepted: set[str] = set()
        self.refused: list[Exception] = []

    def make(self) -> None:
        """Make every move; one that the server refuses is tried once more, as workers do."""
        for move in self.moves():
            self.attempt(move)

    def attempt(self, move: Callable[[], Any]) -> None:
        """Make one move, twice if need be."""
        for _ in range(2):
            try:
                move()
                break
            except (ResponseError, RuntimeError) as error:  # the latter: no job under that id
                self.refused.append(error)

    def written_keys(self) -> set[str]:
        """Make every move; return each key that was there after one of them."""
        found: set[str] = set()
        for move in self.moves():
            self.attempt(move)
            found |= {key.decode() for key in self.admin.scan_iter(count=1000)}
        return found

    def moves(self) -> Iterator[Callable[[], Any]]:
        bucket = self.bucket
        yield from (lambda name=name: self._enqueue(name) for name in ENDS)
        yield lambda: self._enqueue("purged", priority="low")
        yield lambda: self._enqueue("cancelled", priority="low")
        yield lambda: self._enqueue("known", idempotency=IdempotencyKey("key", "body"))
        yield self._enqueue_by_plain_rq
        yield lambda: bucket.cancel("cancelled")
        for _ in range(2 * len(ENDS)):
            yield self._run_one
            yield lambda: bucket.reap()
        yield lambda: self.requeuer.requeue("failed", now_us=bucket.now_us)
        yield self._run_one
        yield lambda: self._enqueue("purged-later", priority="low")
        yield lambda: self._enqueue("emptied", priority="high")
        yield lambda: self.clearer.empty("default-high", "queued")
        yield lambda: self.control.purge("default", keep_seconds=KEEP_SECONDS)
        yield lambda: self._enqueue("lost")
        yield self._lose
        yield self._search
        yield from (lambda: self._wait_and_reap() for _ in range(12))

    def _enqueue(self, name: str, **options: Any) -> None:
        self.bucket.enqueue(name, "retried", **options)
        self.accepted.add(name)

    def _enqueue_by_plain_rq(self) -> None:
        plain = Queue("default", connection=self.admin, serializer=JSONSerializer)
        with suppress(ResponseError):
            parent = plain.enqueue(work, job_id="repeated", repeat=Repeat(times=1))
            self.accepted.add(parent.id)
            plain.enqueue(work, job_id="child", depends_on=parent)

    def _run_one(self) -> None:
        bucket = self.bucket
        bucket.sleep(0.2)
        answer = bucket.ask()
        if isinstance(answer, Claim):
            bucket.now_us = max(bucket.now_us, answer.slot_us)
            ENDS.get(answer.job_id, finish)(bucket, answer)

    def _lose(self) -> None:
        """Take a job out of its queue, as a stranger or a script that failed half-way may."""
        self.admin.lrem(keys.queue("default"), 0, "lost")

    def _search(self) -> None:
        """Search for lost jobs until the next round is to be waited for."""
        lost_jobs = LostJobs(self.redis, "worker-1", self.bucket.leases.terms)
        pause = 0.0
        while pause < 60:
            pause = lost_jobs.look_at_slice(Reaped({}, [], 0), now_us=self.bucket.now_us)
            self.bucket.sleep(pause if pause < 60 else 0)

    def _wait_and_reap(self) -> None:
        self.bucket.sleep(2)
        self.bucket.reap()
        self._run_one()

    # Afterwards

    def settle(self) -> list[str]:
        """Let a worker do what is left; return what went wrong with that."""
        wrong: list[str] = []
        self.admin.delete(keys.sweep(), keys.missing(), keys.sought())  # else in ten minutes
        self._search()
        for _ in range(200):
            ended = self._ended()
            if ended == self.accepted and not self.admin.zcard(keys.leases("default")):
                break
            answer = self.bucket.ask()
            if isinstance(answer, Claim):
                if answer.job_id in ended:
                    wrong.append(f"{answer.job_id} runs although it has ended")
                self.bucket.finish(answer)
            self.bucket.sleep(1)
            self.bucket.reap()
        else:
            wrong.append(f"these did not end: {self.accepted - ended}")
        return wrong

    def _ended(self) -> set[str]:
        names = sorted(self.accepted)
        with self.admin.pipeline(transaction=False) as pipeline:
            for name in names:
                pipeline.hget(keys.job(name), "status")
            statuses = pipeline.execute()
        return {
            name
            for name, status in zip(names, statuses, strict=True)
            if (status or b"").decode() in ENDED
        }

    def misplaced(self, spoilt: str = "") -> list[str]:
        """Say which job is not in exactly one place.

        An entry of a registry of jobs that have ended counts if the job's status says the same.

        Args:
            spoilt: A key that was of another type, so that nothing is in it.
        """
        found: dict[str, list[str]] = {}
        for name, place in places(self.admin, "default"):
            found.setdefault(name, []).append(place)
        wrong = []
        for name in self.accepted:
            status = status_of(self.admin, name)
            counting = [place for place in found.get(name, []) if place not in ENDED - {status}]
            if counting != [status] and not spoilt.startswith(f"rq:{status}:"):
                wrong.append(f"{name} is {status} and in {found.get(name)}")
        return wrong


def finish(bucket: ClockedBucket, claim: Claim) -> None:
    bucket.finish(claim, result='"done"')


def give_back(
    status: str, trace: str = "", **options: Any
) -> Callable[[ClockedBucket, Claim], Any]:
    def end(bucket: ClockedBucket, claim: Claim) -> None:
        report = AttemptReport(claim.token, "work", error="why", trace=trace)
        bucket.leases.give_back(report, status, now_us=bucket.now_us, **options)

    return end


def fall_silent(bucket: ClockedBucket, claim: Claim) -> None:
    """Leave the job to whoever reaps."""


def stop(bucket: ClockedBucket, claim: Claim) -> None:
    bucket.cancel(claim.job_id)
    bucket.leases.complete(
        AttemptReport(claim.token, "work", error="Cancelled: while it ran"),
        "cancelled",
        now_us=bucket.now_us,
    )


ENDS: dict[str, Callable[[ClockedBucket, Claim], Any]] = {
    "finished": finish,
    "failed": lambda bucket, claim: bucket.fail(claim),
    "delayed": give_back("retrying", trace="why", delay_us=SECOND_US),
    "again": give_back("retrying", trace="why", delay_us=0),
    "limited": give_back("rate_limited", hold=Hold(SECOND_US // 5)),
    "unbegun": give_back(""),
    "dying": give_back("reaped", counts_as_reap=True),
    "silent": fall_silent,
    "stopped": stop,
}
