"""What days of life leave in Redis: nothing without expiry that grows with their number."""

import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.job.queue import IdempotencyKey, JobQueue
from spigot.jobs.store import keys
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.webapp.door.rate_limits.bans import ban, unban
from spigot.webapp.door.rate_limits.refusal_counts import MAX_CLIENTS, write_refusals
from spigot.worker.leases.lease_answers import Reaped
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lost_jobs import LostJobs
from spigot.worker.leases.result_log import ResultLog
from spigot.worker.leases.takeover import take_over
from tests.support.all_moves import AllMoves
from tests.support.clocked_bucket import KEEP_SECONDS, ClockedBucket, work
from tests.support.clocked_limiter import ClockedLimiter
from tests.support.processes import wait_for
from tests.support.redis_keys_page import PAGE

RULES = {
    "bucket": {"capacity": 5, "refill_rate": 0.01},
    "window": {"limit": 5, "window": 3600},
}
OF_REAL_WORKERS = "nightly"
NAMES = ["hold_once", "note", "stumble"]
SIZES: dict[bytes, Callable[[Redis, bytes], int]] = {
    b"string": lambda redis, key: redis.strlen(key),
    b"list": lambda redis, key: redis.llen(key),
    b"set": lambda redis, key: redis.scard(key),
    b"zset": lambda redis, key: redis.zcard(key),
    b"stream": lambda redis, key: redis.xlen(key),
    b"hash": lambda redis, key: len({re.sub(r":\d+$", "", f.decode()) for f in redis.hkeys(key)}),
}
"""The bounds of a histogram are few, and which of them a day fills is chance."""

ANY = {"NAME": "[a-z_]+", "QUEUE": "[a-z_-]+"}
SECTION = PAGE.partition("\n## Keys without expiry\n")[2].partition("\n## ")[0]
WITHOUT_EXPIRY = re.compile(
    "|".join(
        re.sub("NAME|QUEUE", lambda found: ANY[found[0]], key)
        for line in SECTION.splitlines()
        if line.startswith("- ")
        for key in re.findall("`([^`]+)`", line.partition(": ")[0])
    )
)


class Days:
    """Days of a server with one bucket that scripts serve, and one that real workers do."""

    def __init__(self, redis: Redis, catalog: JobCatalog, start_worker, folder: Path) -> None:
        self.redis, self._start_worker, self._folder = redis, start_worker, folder
        configs = {OF_REAL_WORKERS: BucketConfig.model_validate({"rate": "200/s"})}
        nightly = JobCatalog(replace(catalog.get(name), bucket=OF_REAL_WORKERS) for name in NAMES)
        self._nightly = JobQueue(redis, nightly, configs, keep_seconds=1)
        self.day = 0

    def live(self) -> None:
        """Live one day to its end, until what expires is gone."""
        self.day += 1
        self._serve_by_real_workers()
        moves = AllMoves(self.redis, self.redis)
        moves.make()
        assert moves.settle() == []
        assert moves.refused == []
        self._lead_odd_lives(moves.bucket)
        self._work_as_plain_rq()
        moves.bucket.cancel("child")  # what it waits for was cancelled
        self._steer(moves.bucket)
        self._knock_at_the_door()
        self._lose_a_job(moves.bucket)
        self._let_time_pass(moves.bucket)
        self._look_in_as_the_last_worker()
        self._expire()

    def left(self) -> dict[str, int]:
        """Return the size of each key that is left."""
        return {key.decode(): SIZES[self.redis.type(key)](self.redis, key) for key in self._keys()}

    def _keys(self) -> list[bytes]:
        return list(self.redis.scan_iter())

    def _lead_odd_lives(self, bucket: ClockedBucket) -> None:
        """Workers come and die with their jobs; jobs are refused, known, cancelled running."""
        for number in range(20):
            bucket.enqueue(f"day-{self.day}-{number}", idempotency=self._idempotency(number))
            bucket.sleep(1)
            claim = bucket.ask(f"worker-{self.day}-{number}")
            if isinstance(claim, Claim):
                self._end_oddly(bucket, claim, number % 5)
            bucket.reap()
        bucket.reap_until_silent()

    def _idempotency(self, number: int) -> IdempotencyKey:
        return IdempotencyKey(f"key-{self.day}-{number}", "body")

    def _end_oddly(self, bucket: ClockedBucket, claim: Claim, way: int) -> None:
        match way:
            case 0:
                bucket.hold(claim, 2)
            case 1:
                bucket.refuse_as_too_large(claim)
            case 2:
                bucket.retry(claim, delay=5)
            case 3:
                bucket.cancel(claim.job_id)  # and its worker dies
            case _:
                pass  # its worker dies

    def _work_as_plain_rq(self) -> None:
        """Jobs of RQ's own code, of which some are cancelled, forgotten or fail by it."""
        ours = Queue("default", connection=self.redis, serializer=JSONSerializer)
        ours.enqueue(work).cancel()
        ours.enqueue(work, ttl=600).delete()

    def _steer(self, bucket: ClockedBucket) -> None:
        for number in range(120):
            bucket.set(capacity=100 + number % 2)
        bucket.set(paused=True)
        bucket.set(paused=False)

    def _knock_at_the_door(self) -> None:
        limiter = ClockedLimiter(self.redis, RULES, expire=True)
        for client in range(30):
            for _ in range(7):
                limiter.ask(0, f"192.0.2.{client}-{self.day}")
        for client in range(30):
            ban(self.redis, f"banned-{self.day}-{client}", 60)
        unban(self.redis, f"banned-{self.day}-0")
        refused = [(f"client-{self.day}-{number}", "bucket") for number in range(MAX_CLIENTS + 9)]
        write_refusals(self.redis, Counter(refused))

    def _lose_a_job(self, bucket: ClockedBucket) -> None:
        bucket.enqueue(f"lost-{self.day}")
        self.redis.lrem(keys.queue("default"), 0, f"lost-{self.day}")
        found = Reaped({}, [], 0)
        while not found.brought_back:
            search = LostJobs(self.redis, "worker-1", bucket.leases.terms)
            bucket.sleep(search.look_at_slice(found, now_us=bucket.now_us))

    def _let_time_pass(self, bucket: ClockedBucket) -> None:
        """Another worker does what is left, and looks around for as long as jobs are kept."""
        result_log = ResultLog(self._folder / "results.jsonl", 1_000_000)
        leases = LeaseStore(self.redis, "default", "late", bucket.leases.terms)
        for _ in range(KEEP_SECONDS // 10 + 60):
            answer = bucket.ask("late", logged=result_log.written())
            if isinstance(answer, Claim) and (ended := bucket.finish(answer)):
                result_log.write(answer.token, ended.line)
            take_over(leases, result_log, leases.reap(now_us=bucket.now_us))
            bucket.sleep(10)
        bucket.bucket.leave("late", result_log.written())

    def _start(self):
        numbers = self._folder / "nightly.json"
        numbers.write_text(json.dumps({OF_REAL_WORKERS: {"rate": "200/s"}}))
        return self._start_worker(
            queues=keys.queue_names(OF_REAL_WORKERS),
            buckets=str(numbers),
            lease_seconds=1,
            keep_seconds=1,
        )

    def _serve_by_real_workers(self) -> None:
        """Real workers run jobs; one is killed over one, the others end its job."""
        folder = self._folder / f"day-{self.day}"
        folder.mkdir()
        first, second = self._start(), self._start()
        held = self._nightly.enqueue("hold_once", {"folder": str(folder)})
        wait_for((folder / "1.started").exists)
        victim = first if first.horses else second
        victim.kill_with_horse()
        others = [self._nightly.enqueue(name, {}) for name in NAMES[1:]]
        wait_for(lambda: all(self._has_ended(job.id) for job in (held, *others)), 30)
        survivor = second if victim is first else first
        assert survivor.stop() == 0

    def _has_ended(self, job_id: str) -> bool:
        return self.redis.hget(keys.job(job_id), "status") in (b"finished", b"failed", None)

    def _look_in_as_the_last_worker(self) -> None:
        """Time has passed, and a worker looks after what is left of others."""
        self._expire()
        workers = keys.workers(OF_REAL_WORKERS)
        self.redis.zadd(workers, dict.fromkeys(self.redis.zrange(workers, 0, -1), 1), xx=True)
        ended = [f"rq:{kind}:{OF_REAL_WORKERS}" for kind in ("finished", "failed", "canceled")]
        wait_for(lambda: not any(self._still_counts(registry) for registry in ended))
        worker = self._start()
        wait_for(lambda: self.redis.scard("rq:workers") == self.redis.zcard(workers) == 1, 30)
        wait_for(lambda: not self.redis.exists(*ended), 30)
        assert worker.stop() == 0

    def _still_counts(self, registry: str) -> bool:
        """Return whether an entry is kept on purpose: RQ cleans once in a quarter of an hour."""
        return self.redis.zcount(registry, self.redis.time()[0], "+inf") > 0

    def _expire(self) -> None:
        """Let go what would be gone by tomorrow."""
        for key in self._keys():
            if self.redis.ttl(key) != -1:
                self.redis.delete(key)


MOST_OF_A_HISTORY = 17_000
"""Bytes: 360 cells, of which each time of day fills others."""


@pytest.mark.slow
def test_days_leave_nothing_that_grows(redis, catalog, start_worker, tmp_path):
    days = Days(redis, catalog, start_worker, tmp_path)
    days.live()
    first = days.left()
    days.live()
    second = days.left()

    assert [key for key in second if not WITHOUT_EXPIRY.fullmatch(key)] == []
    histories = {key: second.pop(key) for key in list(second) if key.endswith(":history")}
    assert max(histories.values()) <= MOST_OF_A_HISTORY
    assert {key: size for key, size in second.items() if size > first.get(key, 1)} == {}
