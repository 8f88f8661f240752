"""What the bucket answers to a worker that asks it for jobs; how it answers is in ``leak.lua``."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from spigot.jobs.store.lua_script import Call
from spigot.jobs.store.stored_values import stored_text
from spigot.jobs.store.times import utc_text

SLEEP_SECONDS = 30.0
"""How long a worker sleeps at most when others poll the bucket."""

FIELDS_OF_A_NEW_JOB = (
    b"data",
    b"status",
    b"created_at",
    b"enqueued_at",
    b"spigot_enqueued_us",
    b"spigot_revision",
    b"spigot_type",
    b"spigot_place",
    b"origin",
    b"description",
    b"timeout",
    b"result_ttl",
    b"failure_ttl",
    b"spigot_request_id",
    b"spigot_log",
    b"retries_left",
    b"retry_intervals",
)
"""In the order in which ``leak.lua`` answers their values, without the last four if a job has none
of these."""


class UnpublishedBucketError(Exception):
    """The bucket has no numbers in Redis: publish ``buckets.json`` and ask again."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job that this worker is to run.

    Attributes:
        job_id: The job.
        queue: Name of the queue it left.
        token: Of this attempt; the lease is named by it.
        slot_us: When it is to start, Unix microseconds on the server's clock.
        wait_us: Microseconds from the claim to the slot, >= 0.
        start_at: When the slot is on the monotonic clock of this machine; late by the way of
            the answer, never early.
        attempt: 1 for the first start.
        fields: The job's hash, as RQ reads it while the job runs.
        asked_at: When the bucket was asked for it, on the monotonic clock: the first time, if the
            answer was perhaps lost before.
        stands_until: Until when nobody else is given the job, though the claim was not renewed, on
            the monotonic clock.
    """

    job_id: str
    queue: str
    token: str
    slot_us: int
    wait_us: int
    start_at: float
    attempt: int
    fields: dict[bytes, bytes]
    asked_at: float = 0.0
    stands_until: float = math.inf


@dataclass(frozen=True, slots=True)
class Wait:
    """No job for this worker now.

    Attributes:
        seconds: When to ask again at the latest; a wake-up may come before.
        waiting: Jobs that wait in the queues that the worker listens to.
        polling: True for a poller or standby: the bucket relies on this worker to ask in time.
        exact: True if a slot is wasted when it asks late.
        reaped_ago: Seconds since any worker looked through the leases.
    """

    seconds: float
    waiting: int
    polling: bool = True
    exact: bool = False
    reaped_ago: float = math.inf


@dataclass(frozen=True, slots=True)
class Question:
    """What a worker asks the bucket for its next jobs.

    Attributes:
        call: That puts it, alone or in one round trip with others.
        bucket: Name of the bucket.
        worker: Name of the worker.
        tokens: Of the attempts that it wants jobs for.
        asked_at: On the monotonic clock.
        noted_at: When the worker was noted as alive, if the question is answered.
        lease_seconds: How long a claim stands without renewal.
        first_asked_at: When a question with these tokens was put to which there is no answer; None
            if there was none. What is told now may have been claimed then, before a hold.
    """

    call: Call
    bucket: str
    worker: str
    tokens: Sequence[str]
    asked_at: float
    noted_at: float
    lease_seconds: float
    first_asked_at: float | None = None

    def answers(self, reply: list[Any], answered_at: float) -> list[Claim | Wait]:
        """Return what the reply of the script says: an answer for each token up to the first wait.

        Args:
            reply: Of ``leak.lua``.
            answered_at: When it came, on the monotonic clock.

        Raises:
            UnpublishedBucketError: Nobody published the bucket's numbers.
        """
        return [
            self._answer(one, token, answered_at)
            for one, token in zip(reply, self.tokens, strict=False)
        ]

    def _answer(self, reply: list[Any], token: str, answered_at: float) -> Claim | Wait:
        asked_at = self.asked_at
        match reply:
            case [b"new", job_id, queue, slot_us, wait_us, values]:
                attempt, named = 1, zip(FIELDS_OF_A_NEW_JOB, values, strict=False)
            case [b"job", job_id, queue, slot_us, wait_us, attempt, flat]:
                named = zip(flat[::2], flat[1::2], strict=True)
                asked_at = asked_at if self.first_asked_at is None else self.first_asked_at
            case [b"wait" | b"poll" as word, wait_us, waiting, reaped_us_ago]:
                seconds = min(wait_us / 1_000_000, SLEEP_SECONDS)
                exact, reaped_ago = word == b"wait", reaped_us_ago / 1_000_000
                return Wait(seconds, waiting, exact=exact, reaped_ago=reaped_ago)
            case [b"sleep", _, waiting]:
                return Wait(SLEEP_SECONDS, waiting, polling=False)
            case _:
                raise UnpublishedBucketError(self.bucket)
        return Claim(
            stored_text(job_id),
            stored_text(queue),
            token,
            slot_us,
            wait_us,
            answered_at + wait_us / 1_000_000,
            attempt,
            {name: value for name, value in named if value is not None}
            | _started(slot_us, self.worker),
            asked_at,
            self.asked_at + self.lease_seconds,
        )


def _started(slot_us: int, worker: str) -> dict[bytes, bytes]:
    """Return what a claim has just written into the job's hash, as far as RQ reads it."""
    slot = utc_text(slot_us).encode()
    return {
        b"status": b"started",
        b"started_at": slot,
        b"last_heartbeat": slot,
        b"worker_name": worker.encode(),
    }
