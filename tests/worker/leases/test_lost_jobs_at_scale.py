"""The search for lost jobs among 100,000 others: those that are lost come back, and no others."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from redis import Redis

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.store import keys
from spigot.worker.leases.lease_answers import Reaped
from spigot.worker.leases.lost_jobs import LostJobs
from tests.support.clocked_bucket import ClockedBucket
from tests.support.consistency import places, status_of
from tests.support.processes import wait_for

FAR = 4_000_000_000
LOST_AS = {"placed": 80, "unplaced": 40, "scheduled": 40, "started": 40}
ENDED = {"finished", "failed", "canceled"}
NUMBERS = {"rate": "10000/s", "capacity": 10**6}


class Crowd:
    """Jobs in every place, as scripts and RQ leave them, and some in none."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.lost: set[str] = set()

    def fill(self) -> None:
        for queue in keys.queue_names("default"):
            self._wait(queue, 22_300)
        self._wait("default-low", 1_000, placed=False)
        self._wait("default", 100, placed=False)
        self._put("delayed", 5_000, "scheduled", keys.delayed("default"))
        self._put("timed", 3_000, "scheduled", "rq:scheduled:default")
        self._put("deferred", 3_000, "deferred", "rq:deferred:default")
        for status in sorted(ENDED):
            self._put(status, 6_700, status, f"rq:{status}:default")
        self._run(700)
        self._lose()

    def _write(self, ids: list[str], status: str, queue: str = "default", **fields: int) -> None:
        with self._redis.pipeline(transaction=False) as pipeline:
            for number, job_id in enumerate(ids):
                known = {"data": "x", "status": status, "origin": queue, "spigot_type": "work"}
                place = {name: first + number for name, first in fields.items()}
                pipeline.hset(keys.job(job_id), mapping=known | place)
            pipeline.execute()

    def _wait(self, queue: str, jobs: int, *, placed: bool = True) -> None:
        """They know their places, or do not, as those that plain RQ put there."""
        first = self._redis.llen(keys.queue(queue))
        ids = [f"{queue}-{first + number}" for number in range(jobs)]
        self._write(ids, "queued", queue, **({"spigot_place": first} if placed else {}))
        self._redis.rpush(keys.queue(queue), *ids)

    def _put(self, name: str, jobs: int, status: str, place: str) -> None:
        ids = [f"{name}-{number}" for number in range(jobs)]
        self._write(ids, status)
        self._redis.zadd(place, dict.fromkeys(ids, FAR * 1000))

    def _run(self, jobs: int) -> None:
        ids = [f"running-{number}" for number in range(jobs)]
        self._write(ids, "started")
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                lease = {"job": job_id, "bucket": "default", "queue": "default", "worker": "other"}
                pipeline.hset(keys.job(job_id), "spigot_token", job_id)
                pipeline.hset(keys.lease(job_id), mapping=lease | {"slot_us": 1, "attempt": 1})
                pipeline.zadd(keys.leases("default"), {job_id: FAR * 1000})
            pipeline.execute()

    def _lose(self) -> None:
        for way, jobs in LOST_AS.items():
            ids = [f"lost-{way}-{number}" for number in range(jobs)]
            status = way if way in ("scheduled", "started") else "queued"
            self._write(ids, status, **({"spigot_place": 700} if way == "placed" else {}))
            self.lost |= set(ids)


class Bustle:
    """Clients and workers that move jobs while others search."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self.enqueued = self.ended = 0
        self.wrong: list[BaseException] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        stop = threading.Event()
        deeds = (self._enqueue, self._work)
        threads = [threading.Thread(target=self._repeat, args=(deed, stop)) for deed in deeds]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join()

    def _repeat(self, deed: Callable[[ClockedBucket], None], stop: threading.Event) -> None:
        bucket = ClockedBucket(self._redis, **NUMBERS)
        try:
            while not stop.wait(0.002):
                deed(bucket)
        except BaseException as error:
            self.wrong.append(error)

    def _enqueue(self, bucket: ClockedBucket) -> None:
        self.enqueued += 1
        priority = keys.PRIORITIES[self.enqueued % 3]
        bucket.enqueue(f"new-{self.enqueued}", priority=priority)
        if self.enqueued % 10 == 0:
            bucket.cancel(f"default-low-{20_000 - self.enqueued}")

    def _work(self, bucket: ClockedBucket) -> None:
        """A fleet: many jobs run at a time, and one in five is retried."""
        claims = [claim for _ in range(10) if isinstance(claim := self._ask(bucket), Claim)]
        for number, claim in enumerate(claims):
            bucket.now_us = max(bucket.now_us, claim.slot_us)
            if number % 5:
                bucket.finish(claim)
            else:
                bucket.retry(claim, delay=0.01)
            self.ended += 1

    def _ask(self, bucket: ClockedBucket) -> object:
        bucket.sleep(0.001)
        return bucket.ask(lease_ms=FAR)


def search(redis: Redis, bucket: ClockedBucket) -> Counter[str]:
    """Search through one round; return how often each job was brought back."""
    found = Reaped({}, [], 0)
    lost_jobs, now_us, pause = LostJobs(redis, "searcher", bucket.leases.terms), bucket.now_us, 0.0
    while pause < 60:
        now_us += round(pause * 1_000_000)
        pause = lost_jobs.look_at_slice(found, now_us=now_us)
    return Counter(text.split()[0] for text in found.brought_back)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_all_that_are_lost_and_no_others_are_brought_back(redis):
    bucket, crowd, bustle = ClockedBucket(redis, **NUMBERS), Crowd(redis), Bustle(redis)
    crowd.fill()
    for number in range(300):
        bucket.cancel(f"default-{10_000 + 7 * number}")
    assert redis.zcard(keys.blanks("default")) == 300
    assert sum(1 for _ in redis.scan_iter(f"{keys.job('')}*", count=5_000)) >= 100_000

    with bustle.going_on():
        wait_for(lambda: bustle.ended > 50)
        first = search(redis, bucket)
    redis.delete(keys.sweep())
    second = search(redis, bucket)

    assert bustle.wrong == []
    assert first == Counter(dict.fromkeys(crowd.lost, 1))
    assert second == {}
    assert lost_in_the_end(redis, crowd) == []


def lost_in_the_end(redis: Redis, crowd: Crowd) -> list[str]:
    """Return those that are neither in one place nor ended."""
    found = Counter(job_id for job_id, place in places(redis, "default") if place not in ENDED)
    return [
        job_id
        for job_id in sorted(crowd.lost)
        if found[job_id] != 1 and status_of(redis, job_id) not in ENDED
    ]
