"""A hold is obeyed by those who have claimed a job already, each right before it starts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from spigot.jobs.bucket.leaky_bucket import CLAIM_AHEAD_US
from spigot.jobs.job.state import JobReader
from spigot.jobs.store import keys
from tests.support.fast_workers import WorkerProcess
from tests.support.processes import wait_for

JOBS, HOLD_SECONDS = 60, 0.6

ENOUGH = 3

DEAF = "a command cannot be obeyed"

KINDS = [
    pytest.param({"simple": True}, id="simple worker"),
    pytest.param({}, id="forking worker"),
    pytest.param({"concurrency": 3}, id="pool"),
]


def listeners(redis: Redis) -> set[str]:
    """Return the ids of the connections that are subscribed to something."""
    return {one["id"] for one in redis.client_list(_type="pubsub")}


def publish(redis: Redis, channel: str, text: str) -> float:
    """Publish a message; return a time at which every subscriber has it in its socket."""
    redis.publish(channel, text)
    redis.ping()  # the server writes all that it has to send before it reads what comes next
    return time.time()


@contextmanager
def subscribed(redis: Redis) -> Iterator[Any]:
    """Subscribe to holds, as workers do."""
    with redis.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe(keys.holds())
        subscription.get_message(timeout=5)
        yield subscription


def delivered_at(subscription: Any) -> float:
    """Wait for a hold; return a time at which every subscriber has the news in its socket."""
    wait_for(lambda: subscription.get_message(timeout=1))
    subscription.ping()
    wait_for(lambda: subscription.get_message(timeout=1))
    return time.time()


class TestOfAFleet:
    @pytest.fixture
    def numbers(self):
        return {"rate": "400/s"}

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("workers", "kind"),
        [(1, {"concurrency": 20}), (2, {"concurrency": 20}), (4, {"simple": True}), (4, {})],
        ids=["the pool itself", "two pools", "simple workers", "forking workers"],
    )
    def test_no_claimed_job_starts_once_the_bucket_is_held(
        self, start_worker, job_queue, redis, tmp_path, workers, kind
    ):
        redis.set("rq:suspended", 1)
        ids = [
            job_queue.enqueue(
                "note_start", {"folder": str(tmp_path), "is_refused": number == 10}
            ).id
            for number in range(JOBS)
        ]
        for _ in range(workers):
            start_worker(**kind)
        time.sleep(1)
        with subscribed(redis) as subscription:
            listening = listeners(redis)
            redis.delete("rq:suspended")
            obeyed_from = delivered_at(subscription)
            if listeners(redis) != listening:  # one connected anew, and may have missed the news
                obeyed_from += CLAIM_AHEAD_US / 1e6
        reader = JobReader(redis)
        wait_for(lambda: all(reader.read(job_id).status == "finished" for job_id in ids))

        held_at = int(redis.hget(keys.bucket("default"), "held_until_us")) / 1e6 - HOLD_SECONDS
        during = [
            job_id
            for job_id, start in starts_in(tmp_path).items()
            if held_at < start < held_at + HOLD_SECONDS - 0.1
        ]
        if workers == 1:
            assert during == []
        assert [job_id for job_id in during if slot_of(redis, job_id) > obeyed_from] == []
        attempts = {reader.read(job_id).attempts for job_id in ids if job_id != ids[10]}
        assert attempts == {1}
        assert reader.read(ids[10]).attempts == 2


def starts_in(folder: Path) -> dict[str, float]:
    """Return when each job started that was not refused, Unix seconds."""
    return {
        mark.name.rpartition("-")[0]: float(mark.read_text().split()[0])
        for mark in folder.glob("*.started")
    }


def slot_of(redis: Redis, job_id: str) -> float:
    """Return the slot of a job's last attempt, Unix seconds."""
    return int(redis.hget(keys.job(job_id), "spigot_slot_us")) / 1e6


class TestOfOneWorker:
    @pytest.fixture
    def numbers(self):
        return {"rate": "5/s"}

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_claimed_job_does_not_start_though_no_thread_has_read_the_news(
        self, start_worker, job_queue, redis, tmp_path, kind
    ):
        """Here each message in time is one that was delivered before the job's slot."""
        worker = start_worker(**kind)
        wait_for(lambda: redis.exists("rq:workers"))
        (key,) = redis.smembers("rq:workers")
        commands = f"rq:pubsub:{key.decode().rpartition(':')[2]}"
        wait_for(lambda: redis.pubsub_numsub(commands)[0][1])
        told_in_time: dict[str, float] = {}

        def status_of(job_id: str) -> bytes:
            return redis.hget(keys.job(job_id), "status")

        def tell_while_a_job_is_claimed() -> bool:
            deafen(redis, commands, worker)
            payload = {"folder": str(tmp_path), "is_refused": False}
            _, job_id = (job_queue.enqueue("note_start", payload).id for _ in range(2))
            wait_for(lambda: status_of(job_id) != b"queued", pause=0.001)
            slot, listening = slot_of(redis, job_id), listeners(redis)
            told_at = publish(redis, keys.holds(), "default")
            wait_for(lambda: status_of(job_id) == b"finished")
            if told_at < slot and listeners(redis) == listening:
                told_in_time[job_id] = slot
            return len(told_in_time) == ENOUGH

        wait_for(tell_while_a_job_is_claimed, seconds=60)

        reader, starts = JobReader(redis), starts_in(tmp_path)
        for job_id, slot in told_in_time.items():
            assert slot < slot_of(redis, job_id) < starts[job_id]
            assert reader.read(job_id).attempts == 1


def deafen(redis: Redis, commands: str, worker: WorkerProcess) -> None:
    """Have the worker's listener pause for half a second, as it does after what it cannot obey."""
    before = worker.log.count(DEAF)

    def is_deaf() -> bool:
        publish(redis, commands, "no command at all")  # again: it may just connect anew
        return worker.log.count(DEAF) > before

    wait_for(is_deaf, pause=0.1)
