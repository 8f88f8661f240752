"""The child of a pool: runs functions, and knows neither leases nor outcomes of others.

Its threads: the main one is the event loop, one receives what the parent sends, one tells it what
came of it, one keeps watch, one prepares coroutine functions, and one prepares and runs each plain
function. ``docs/pool-worker.md`` has a map.
"""

import asyncio
import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from queue import SimpleQueue
from typing import Any

from redis import Redis

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.log_ids import log_ids
from spigot.runtime.server.redis_connection import sibling
from spigot.worker.running import outcome as outcomes
from spigot.worker.running.attempt_writers import AttemptWriters
from spigot.worker.running.claimed_job import ClaimedJob, Hook
from spigot.worker.running.function_call import Interrupted
from spigot.worker.running.hold_news import HoldNews
from spigot.worker.running.outcome import Outcome
from spigot.worker.running.prepared_call import PreparedCall, prepare

from .attempt import Attempt, current_attempt
from .child_watch import ChildWatch
from .death_penalty import PoolDeathPenalty
from .job_loop import JobLoop
from .job_threads import JobThread, JobThreads
from .messages import MessageReader, frame
from .named_places import NamedPlaces
from .process_of_many import Vital, note_exits, prepare_process
from .shared_table import SharedTable
from .stack_dump import StackDump

JOB_SECONDS = 3.0
"""Time-out of the connection that jobs get from RQ, as ``job.save_meta()`` uses it."""

LONGEST_HOLD_SECONDS = 1.0
"""How long nothing starts after a refusal here, until the parent has written it."""

NEWS_SECONDS = 0.01
"""How long the news of a hold takes after that."""

TELL_AGAIN_SECONDS = 0.002
"""Before more outcomes are told: each time wakes two threads, and meanwhile more may come."""


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """What all children of a pool have in common.

    Attributes:
        catalog: The job types.
        redis: Whose server jobs talk to.
        exception_handlers: Those that RQ's worker was given; a list that may still grow.
        worker_name: Of the parent.
        hold_news: Whether the bucket was held since a job was claimed.
    """

    catalog: JobCatalog
    redis: Redis
    exception_handlers: Sequence[Hook]
    worker_name: str
    hold_news: HoldNews


@dataclass(frozen=True, slots=True)
class ChildTools:
    """What a child is given by its parent, which it is a fork of.

    Attributes:
        plan: What all children have in common.
        places: How many attempts run at once.
        table: Shared with the parent.
        pipe: The child's end of the socket pair.
        crash_report: File that tells who crashed.
        stacks: Those of its threads, for a parent that asks.
    """

    plan: PoolPlan
    places: int
    table: SharedTable
    pipe: socket.socket
    crash_report: int
    stacks: StackDump


class Child:
    """The process that runs the functions.

    Args:
        tools: What it works with.
    """

    def __init__(self, tools: ChildTools) -> None:
        self._tools = tools
        self._table = tools.table
        self._redis = sibling(tools.plan.redis, timeout=JOB_SECONDS)
        self._names = NamedPlaces(tools.places)
        self._attempts: dict[str, Attempt] = {}
        self._outbox: SimpleQueue[bytes] = SimpleQueue()
        self._writers = AttemptWriters(self._redis)
        self._threads = JobThreads(self._work, tools.places)
        self._loop = JobLoop(self._table, self._names, self._run_on_loop, self._fail)
        self._watch = ChildWatch(self._table, self._attempts, self._threads, self._loop, self._tell)
        self._held_until = 0.0
        self._is_stopping = False
        self._hold_news = tools.plan.hold_news

    def live(self) -> int:
        """Run what the parent sends, to the end of the process."""
        prepare_process(self._tools.plan.worker_name, self._tools.crash_report)
        note_exits(self._table)
        self._tools.stacks.offer()
        self._threads.top_up()
        self._start("tell", self._keep_telling)
        self._start("watch", self._watch.keep)
        self._start("receive", self._keep_receiving)
        self._loop.live()
        return 1

    def _start(self, name: str, run: Callable[[], None]) -> None:
        def run_to_the_end() -> None:
            with Vital():
                run()

        threading.Thread(target=run_to_the_end, name=name, daemon=True).start()

    # What the parent says

    def _keep_receiving(self) -> None:
        reader = MessageReader(self._tools.pipe)
        while not reader.ended:
            for message in reader.read():
                self._obey(*message)
        os._exit(0)  # the parent is gone

    def _obey(self, order: str, *args: Any) -> None:
        match order:
            case "run":
                for place, claimed in args[0]:
                    self._accept(place, claimed)
            case "cancel" | "lose" | "give_back" as why:
                self._end(args[0], why)
            case "refusal_written":
                self._held_until = min(self._held_until, time.monotonic() + NEWS_SECONDS)
            case "stop":
                self._is_stopping = True

    def _accept(self, place: int, claimed: tuple[Any, ...]) -> None:
        job = ClaimedJob.of(Claim(*claimed), self._redis)
        job.exception_handlers = self._tools.plan.exception_handlers
        attempt = Attempt(job, place)
        self._attempts[attempt.token] = attempt
        if time.monotonic() >= job.claim.stands_until:
            self._tell(attempt, Outcome("not_started"))
            return
        job_type = self._tools.plan.catalog.find(job.type_name)
        if job_type is not None and job_type.is_async:
            self._threads.prepare(attempt)
        else:
            self._threads.run(attempt)

    def _end(self, token: str, why: str) -> None:
        attempt = self._attempts.get(token)
        if attempt is not None:
            reasons = {"cancel": outcomes.cancelled, "lose": outcomes.lost}
            attempt.interrupt(reasons.get(why, outcomes.given_back)())

    # A function, in a thread or on the loop

    def _work(self, thread: JobThread, attempt: Attempt) -> None:
        current_attempt.set(attempt)
        with Vital():
            self._prepare_and_call(thread, attempt)

    def _prepare_and_call(self, thread: JobThread, attempt: Attempt) -> None:
        job = attempt.job
        attempt.prepare_in(thread)
        with log_ids(job_id=job.id, request_id=job.request_id):
            prepared = prepare(job, self._tools.plan.catalog, PoolDeathPenalty)
            if prepared.is_async:
                current_attempt.set(None)
                attempt.thread = None
                self._loop.plan(attempt, prepared)
            else:
                if (left := job.start_at - time.monotonic()) > 0:
                    time.sleep(left)
                attempt.kick = partial(thread.interrupt, attempt)
                self._tell(attempt, self._call(thread, attempt, prepared))
        if attempt.is_lost:
            self._watch.found(thread, attempt)

    def _call(self, thread: JobThread, attempt: Attempt, prepared: PreparedCall) -> Outcome:
        if not self._begin(attempt):
            return _never_begun(attempt)
        run = partial(prepared.run, self._writers)
        try:
            ended: Outcome = thread.call(attempt, lambda: self._names.call(attempt.place, run))
        except Interrupted:
            return attempt.reason or outcomes.given_back()
        return ended

    async def _run_on_loop(self, attempt: Attempt, prepared: PreparedCall) -> Outcome:
        ended = await self._await(attempt, prepared)
        self._tell(attempt, ended)
        return ended

    def _fail(self, attempt: Attempt, error: Exception) -> None:
        self._tell(attempt, outcomes.failed(error))

    async def _await(self, attempt: Attempt, prepared: PreparedCall) -> Outcome:
        if not self._begin(attempt):
            return _never_begun(attempt)
        try:
            return await self._names.awaiting(
                attempt.place,
                prepared.run_on_loop(self._writers, attempt.take_timeout, _in_thread),
            )
        except (Interrupted, asyncio.CancelledError) as error:
            return attempt.reason or outcomes.failed(error)

    def _begin(self, attempt: Attempt) -> bool:
        now = time.monotonic()
        if self._is_stopping or self._is_held(attempt.job.claim, now) or not attempt.begin():
            return False
        late_us = max(0, round((now - attempt.job.start_at) * 1_000_000))
        self._table.begin(attempt.place, late_us, threading.get_native_id())
        return True

    def _is_held(self, claim: Claim, now: float) -> bool:
        return now < self._held_until or self._hold_news.came_lately_after(claim, now)

    # What the parent is told

    def _tell(self, attempt: Attempt, ended: Outcome) -> None:
        """Tell the parent an outcome, unless it was told another before."""
        if not attempt.finish():
            return
        if ended.status == "rate_limited":
            self._held_until = time.monotonic() + LONGEST_HOLD_SECONDS
        self._attempts.pop(attempt.token, None)
        late_us = self._table.late_us(attempt.place)
        self._outbox.put(frame(("ended", attempt.token, outcomes.to_values(ended, late_us))))

    def _keep_telling(self) -> None:
        while True:
            told = self._outbox.get()
            while not self._outbox.empty() and len(told) < 1 << 16:
                told += self._outbox.get()
            try:
                self._tools.pipe.sendall(told)
            except OSError:
                os._exit(0)  # the parent is gone
            time.sleep(TELL_AGAIN_SECONDS)


def _never_begun(attempt: Attempt) -> Outcome:
    reason = attempt.reason
    return Outcome("not_started") if reason is None or reason.status == "given_back" else reason


async def _in_thread(call: Callable[[], Outcome]) -> Outcome:
    return await asyncio.to_thread(call)
