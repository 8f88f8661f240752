"""The leaky bucket: jobs leave it one by one, evenly, over the whole fleet of workers."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Required, TypedDict, Unpack

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import stored_text
from spigot.jobs.store.times import clock_argument

from .claim_answers import SLEEP_SECONDS, Claim, Question, Wait

ALIVE_SECONDS = 40.0
"""How long a worker counts as alive after a sign of life: a sleep, with room to spare."""

CLAIM_AHEAD_US = 50_000
"""How long before its slot a job may be claimed at most, as in ``bucket.lua``."""

NOTED_SECONDS = 9.0
"""A worker that was noted as alive within so many seconds is not noted again."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a worker finds that waits for a wake-up.

    Attributes:
        seconds: When to look again; None if the bucket is to be asked now.
        rq_state: What RQ's record of the worker says of it; empty if the record is gone.
        must_reap: Whether leases are to be looked through.
    """

    seconds: float | None
    rq_state: str
    must_reap: bool


class Terms(TypedDict, total=False):
    """What ``LeakyBucket.question`` takes by name."""

    lease_ms: Required[int]
    rq_ttl: int
    concurrency: int
    ahead_us: int
    logged: Sequence[str]
    now_us: int | None


@dataclass(slots=True)
class _Contact:
    """What a worker knows of what the bucket knows of it.

    Attributes:
        noted_at: When it last asked to be noted as alive, in seconds on the clock of ``claim``.
        may_poll: False if it is neither poller nor standby.
    """

    noted_at: float = -math.inf
    may_poll: bool = True


class LeakyBucket:
    """One bucket, as a worker sees it. The arithmetic is in ``bucket.lua`` and ``leak.lua``.

    Args:
        redis: Connection to the server of the queue side.
        name: The bucket.
        queues: Names of its queues to take jobs from, most urgent first; None: all three.
    """

    def __init__(self, redis: Redis, name: str, queues: list[str] | None = None) -> None:
        self.name = name
        self.queues = queues or keys.queue_names(name)
        self._redis = redis
        self._leak = load_script(redis, __package__, "leak.lua")
        self._look = load_script(redis, __package__, "look.lua")
        self._leave = load_script(redis, __package__, "leave.lua")
        self._contacts: dict[str, _Contact] = {}

    def claim(self, worker: str, token: str, **terms: Unpack[Terms]) -> Claim | Wait:
        """Take the next job, if its slot is near.

        Args:
            worker: Name of the worker that asks.
            token: For the attempt; used only if there is a job.
            **terms: As ``question`` takes them.

        Raises:
            UnpublishedBucketError: Nobody published the bucket's numbers.
            redis.RedisError: It is unknown whether a job was claimed; if one was, its lease
                runs out and it is given to somebody else.
        """
        (answer,) = self.claim_several(worker, [token], **terms)
        return answer

    def claim_several(
        self, worker: str, tokens: Sequence[str], **terms: Unpack[Terms]
    ) -> list[Claim | Wait]:
        """Take the next jobs whose slots are near, in one round trip.

        Args:
            worker: As ``question`` takes it; so are the others.
            tokens: One for each attempt, one or more.
            **terms: Of the claims.

        Returns:
            An answer for each token; none for those after the first ``Wait``.

        Raises:
            UnpublishedBucketError: As ``claim``.
            redis.RedisError: As ``claim``.
        """
        return self.put(self.question(worker, tokens, **terms))

    def put(self, question: Question) -> list[Claim | Wait]:
        """Put a question, and return the answers as ``claim_several`` does."""
        leak, script_keys, args = question.call
        return self.answers(question, leak(keys=script_keys, args=args))

    @property
    def can_be_asked_ahead(self) -> bool:
        """Whether its client is one for ``put_ahead``."""
        return self._leak.is_called_directly

    def put_ahead(self, question: Question) -> Callable[[], Any]:
        """Put a question whose reply is wanted later.

        Returns:
            Waits for the reply, and returns it for ``answers``.

        Raises:
            redis.RedisError: As ``claim``.
        """
        _, script_keys, args = question.call
        return self._leak.call_ahead(script_keys, args)

    def question(
        self,
        worker: str,
        tokens: Sequence[str],
        *,
        lease_ms: int,
        rq_ttl: int = 480,
        concurrency: int = 1,
        ahead_us: int = CLAIM_AHEAD_US,
        logged: Sequence[str] = (),
        now_us: int | None = None,
    ) -> Question:
        """Return what ``claim_several`` asks, to be put alone or beside something else.

        Args:
            worker: Name of the worker that asks.
            tokens: One for each attempt, one or more.
            lease_ms: How long a claim stands without renewal, >= 1.
            rq_ttl: Seconds until RQ forgets the worker.
            concurrency: How many jobs the worker runs at once, >= 1.
            ahead_us: How long before its slot a job may be claimed, 1 to ``CLAIM_AHEAD_US``.
            logged: Tokens of ended attempts whose lines are now in a result log.
            now_us: Unix microseconds; None takes the clock of Redis.
        """
        queues = [keys.queue(name) for name in self.queues]
        asked_at, clock = time.monotonic(), clock_argument(now_us)
        now = asked_at if now_us is None else now_us / 1_000_000
        contact = self._contacts.pop(worker, _Contact())  # nothing is known if there is no answer
        is_noted = 0 <= now - contact.noted_at < NOTED_SECONDS
        alive_ms = 0 if is_noted else round(ALIVE_SECONDS * 1000)
        lease, *more = [keys.lease(token) for token in tokens]
        told = [lease_ms, alive_ms, rq_ttl, clock, concurrency, ahead_us, int(contact.may_poll)]
        args = [self.name, worker, tokens[0], *told, len(more), *logged]
        noted_at = contact.noted_at if is_noted else now
        call = (self._leak, [lease, *queues, *more], args)
        return Question(call, self.name, worker, tokens, asked_at, noted_at, lease_ms / 1000)

    def answers(
        self, question: Question, reply: list[Any], answered_at: float | None = None
    ) -> list[Claim | Wait]:
        """Return what the reply to a question says, as ``claim_several`` does.

        Args:
            question: That was put.
            reply: Of its script.
            answered_at: When the reply came, on the monotonic clock; None: now.

        Raises:
            UnpublishedBucketError: As ``claim``.
        """
        answers = question.answers(reply, time.monotonic() if answered_at is None else answered_at)
        self._contacts[question.worker] = _Contact(
            question.noted_at,
            any(isinstance(answer, Wait) and answer.polling for answer in answers),
        )
        return answers

    def look(self, worker: str, *, polling: bool, now_us: int | None = None) -> Look:
        """Look whether the bucket is to be asked; cheaper than to claim.

        Args:
            worker: Name of the worker that waits for a wake-up.
            polling: Whether the bucket relies on it to look.
            now_us: Unix microseconds; None takes the clock of Redis.

        Raises:
            redis.RedisError: Ask the bucket, as soon as it answers.
        """
        reply = self._look(
            keys=[keys.queue(name) for name in self.queues],
            args=[self.name, worker, int(polling), clock_argument(now_us)],
        )
        wait_us, state, must_reap = reply
        if polling and worker in self._contacts:
            self._contacts[worker].may_poll = True
        seconds = SLEEP_SECONDS if wait_us < 0 else wait_us / 1_000_000
        return Look(seconds or None, stored_text(state), bool(must_reap))

    def leave(self, worker: str, logged: Sequence[str] = ()) -> None:
        """Stop counting as a worker of this bucket, and wake another if jobs wait.

        Args:
            worker: Name of the worker that leaves.
            logged: Tokens of ended attempts whose lines are now in a result log.

        Raises:
            redis.RedisError: The worker counts as alive for a little longer.
        """
        self._contacts.pop(worker, None)
        self._leave(args=[self.name, worker, *logged])
