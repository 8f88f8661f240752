"""Claims jobs from the bucket, and forgets no claim whose answer was lost."""

import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any

from redis.exceptions import RedisError

from spigot.jobs.bucket.claim_answers import Claim, Question, UnpublishedBucketError, Wait
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.store.lua_script import Call
from spigot.runtime.stop_signals import StopRequested
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.lease_batch import LeaseBatch
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.result_log import ResultLog
from spigot.worker.running.early_stops import EarlyStops
from spigot.worker.running.outcome import one_line

from .claim_horizon import ClaimHorizon

MOST_AT_ONCE = 64
"""Jobs that one round trip claims at most."""

FLOOD = 8
"""Jobs that are due together from which on the next ones are asked for before these are in hand."""

DUE_US = 1_000
"""A job whose slot is nearer than that is due."""


@dataclass(slots=True)
class _EarlyQuestion:
    """One that is put before its answer is wanted.

    Attributes:
        question: As the bucket reads the reply to it.
        logged: Tokens that it told the server.
        reply: Returns what the server replied, for which it may wait.
        replied_at: When the reply came, on the monotonic clock; None if it is still to be read.
    """

    question: Question
    logged: list[str]
    reply: Callable[[], Any] | None = None
    replied_at: float | None = None

    @property
    def waits_from(self) -> float:
        """From when on a wait counts that is the answer: no later than it was made."""
        return self.question.asked_at if self.replied_at is None else self.replied_at


class Claimer:
    """Asks the bucket for one job after the other.

    An attempt's token is made up before it is asked for: with the same token a second question
    gets the same answer, and what nobody got an answer for can be given back.

    The next question may be put early: with the end of the present job, or, where many jobs are due
    at once, before those are in hand that were claimed last. The server works on it meanwhile.

    Args:
        bucket: On a connection that a signal interrupts.
        worker: Name of the worker that asks.
        lease_ms: How long a claim stands without renewal, >= 1.
        rq_ttl: Seconds until RQ forgets the worker.
        concurrency: How many jobs the worker runs at once.
        result_log: Its lines may be forgotten by the server, which is told with each question.
        restore: Tells a server that was emptied again what workers tell it when they begin.
        on_claim: Is told of each job that was claimed.
        horizon: How near slots are that may be claimed.
        places: Returns how many jobs may be claimed now. Those whose slots are near are claimed
            together.
        early_stops: Is told what is asked for and what was claimed.

    Attributes:
        asks_early: Whether the next job is wanted as soon as the present one has ended.
    """

    def __init__(
        self,
        bucket: LeakyBucket,
        worker: str,
        *,
        lease_ms: int,
        rq_ttl: int,
        concurrency: int,
        result_log: ResultLog,
        restore: Callable[[], None],
        on_claim: Callable[[Claim], None],
        horizon: ClaimHorizon,
        early_stops: EarlyStops,
        places: Callable[[], int] = lambda: 1,
    ) -> None:
        self._bucket = bucket
        self._worker = worker
        self._lease_ms = lease_ms
        self._rq_ttl = rq_ttl
        self._concurrency = concurrency
        self._result_log = result_log
        self._restore = restore
        self._on_claim = on_claim
        self._horizon = horizon
        self._early_stops = early_stops
        self._due_at = math.inf
        self._places = places
        self._tokens = [token_hex(16)]
        self._batch = 1
        self._ready: deque[tuple[Claim | Wait, float]] = deque()
        self._unanswered_since: float | None = None
        self._unreadable: Exception | None = None
        self._early: _EarlyQuestion | None = None
        self._had_to_wait = True
        self._is_busy = False
        self.asks_early = False

    def ask(self) -> Claim | Wait:
        """Claim the next job, if its slot is near.

        Raises:
            redis.RedisError: Ask again.
            StopRequested: Do not; a job that was perhaps claimed is given back by ``give_back``.
        """
        if not self._ready:
            early, self._early = self._early, None
            if early is not None:
                self._note(self._early_answers(early), early.waits_from)
            else:
                begun_at = min(time.monotonic(), self._due_at)
                self._due_at = math.inf
                answers = self._ask_for(max(1, min(self._batch, self._places(), MOST_AT_ONCE)))
                self._horizon.note_claim(time.monotonic() - begun_at)
                self._note(answers, time.monotonic())
            if self._is_flooded:
                self._ask_ahead()
        answer, answered_at = self._ready.popleft()
        if isinstance(answer, Claim):
            return answer
        now = time.monotonic()
        left = answer.seconds - (now - answered_at)
        if answer.exact:
            self._due_at = now + max(0.0, left)
        return replace(answer, seconds=left)

    @property
    def has_claims(self) -> bool:
        """Whether a job was claimed that ``ask`` has not returned yet."""
        return bool(self._ready) and isinstance(self._ready[0][0], Claim)

    def _ask_for(self, count: int) -> list[Claim | Wait]:
        question, logged = self._begin(count)
        return self._answered(lambda: self._bucket.put(question), logged)

    def _begin(self, count: int) -> tuple[Question, list[str]]:
        """Return a question for so many jobs, which may be claimed from now on.

        It has the tokens that got no job yet, and as many more as are needed.

        Returns:
            The question, and the tokens of lines that it tells the server are written.
        """
        self._tokens += [token_hex(16) for _ in range(count - len(self._tokens))]
        self._early_stops.note_question()
        logged = self._result_log.written()
        question = self._bucket.question(
            self._worker,
            self._tokens[:count],
            lease_ms=self._lease_ms,
            rq_ttl=self._rq_ttl,
            concurrency=self._concurrency,
            ahead_us=self._horizon.ahead_us,
            logged=logged,
        )
        if self._unanswered_since is not None:
            question = replace(question, first_asked_at=self._unanswered_since)
        else:
            self._unanswered_since = question.asked_at
        return question, logged

    def _answered(
        self, answer: Callable[[], list[Claim | Wait]], logged: list[str]
    ) -> list[Claim | Wait]:
        try:
            answers = answer()
        except UnpublishedBucketError:
            self._restore()
            answers = [Wait(0.001, waiting=1)]
        except (RedisError, StopRequested):
            self._result_log.written_again(logged)
            raise
        except Exception as error:  # what was claimed stops this worker, and must not the next ones
            self._unreadable = error
            raise
        self._unanswered_since = None
        return answers

    def question(self) -> Call | None:
        """Return the question for the next job, to be put with the end of the one before.

        None where that is not wanted: ``asks_early`` says so, there is an answer already, or the
        present job had to be waited for. The next one probably must be, too, and the question that
        finds none now would only come a second time, to tell what was logged meanwhile.
        """
        if not (self.asks_early and self._is_busy) or self._ready or self._early is not None:
            return None
        self._early = _EarlyQuestion(*self._begin(1))
        return self._early.question.call

    def note_reply(self, reply: Any) -> None:
        """Keep the reply to ``question`` for ``ask``, which asks again if it was refused."""
        assert self._early is not None
        if isinstance(reply, Exception):
            self.note_no_reply()
            return
        self._early.reply, self._early.replied_at = lambda: reply, time.monotonic()
        self._horizon.note_claim(self._early.replied_at - self._early.question.asked_at)

    def note_no_reply(self) -> None:
        """Note that ``question`` was perhaps put: it is asked again, with the same token."""
        if self._early is not None:
            self._result_log.written_again(self._early.logged)
            self._early = None

    @property
    def token_in_question(self) -> str | None:
        """Token of the attempt that ``question`` was put for, until ``ask`` reads the reply."""
        return None if self._early is None else self._early.question.tokens[0]

    @property
    def _is_flooded(self) -> bool:
        """Whether more jobs are due than were asked for."""
        last, _ = self._ready[-1]
        return len(self._ready) >= FLOOD and isinstance(last, Claim) and last.wait_us < DUE_US

    def _ask_ahead(self) -> None:
        """Ask for as many jobs as there will be places for once these are in hand."""
        count = min(self._batch, self._places() - len(self._ready), MOST_AT_ONCE)
        if count < FLOOD or not (self.asks_early and self._bucket.can_be_asked_ahead):
            return
        question, logged = self._begin(count)
        try:
            self._early = _EarlyQuestion(question, logged, self._bucket.put_ahead(question))
        except (RedisError, StopRequested):  # it is put again when the answer is wanted
            self._result_log.written_again(logged)

    def _early_answers(self, early: _EarlyQuestion) -> list[Claim | Wait]:
        def answers() -> list[Claim | Wait]:
            assert early.reply is not None
            return self._bucket.answers(early.question, early.reply(), early.replied_at)

        return self._answered(answers, early.logged)

    def _note(self, answers: list[Claim | Wait], now: float) -> None:
        """Keep the jobs, and the first answer that there is none; learn how many to ask for."""
        claims = [answer for answer in answers if isinstance(answer, Claim)]
        self._early_stops.note_answer(claim.job_id for claim in claims)
        for claim in claims:
            self._on_claim(claim)
        waits = [answer for answer in answers if isinstance(answer, Wait)]
        used = {claim.token for claim in claims}
        self._tokens = [token for token in self._tokens if token not in used] or [token_hex(16)]
        self._ready.extend((claim, now) for claim in claims)
        self._ready.extend((wait, now) for wait in waits[:1])
        self._batch = len(claims) + 1 if waits else 2 * len(claims)
        if claims:
            self._is_busy = not self._had_to_wait
        self._had_to_wait = bool(waits)

    def give_back(self, leases: LeaseStore) -> None:
        """Give back what was claimed, or perhaps was, and is in no hand; ask no more afterwards.

        Args:
            leases: Of the bucket, on a connection with little patience.

        Raises:
            redis.RedisError: Do it again, or the leases of such jobs run out.
        """
        batch = LeaseBatch(leases)
        if self._unreadable is not None:
            reason = f"Unreadable: {one_line(self._unreadable)}"
            for token in self._tokens:
                report = AttemptReport(token, "unreadable", reason)
                batch.give_back(report, "reaped", counts_as_reap=True)
        elif self._unanswered_since is not None:
            for token in reversed(self._tokens):
                batch.give_back(AttemptReport(token), "")
        for answer, _ in reversed(self._ready):
            if isinstance(answer, Claim):
                batch.give_back(AttemptReport(answer.token), "")
        batch.write()
        self._ready.clear()
        self._early, self._unanswered_since, self._unreadable = None, None, None

    def sign_off(self, bucket: LeakyBucket, leases: LeaseStore) -> None:
        """Give back what is in no hand, and leave the bucket.

        Args:
            bucket: The same one, on a connection with little patience.
            leases: Of that bucket and connection.

        Raises:
            redis.RedisError: The leases of such jobs run out.
        """
        self.give_back(leases)
        bucket.leave(self._worker, self._result_log.written())
