"""A hold is obeyed by those who have claimed a job already, each right before it starts."""

import time

import pytest

from spigot.jobs.bucket.leaky_bucket import Claim
from spigot.jobs.job.state import JobReader
from spigot.jobs.store import keys
from spigot.worker.running.hold_news import HoldNews
from tests.support.processes import wait_for

JOBS, HOLD_SECONDS = 60, 0.6

NEWS_SECONDS = 0.03
"""How late the news may be here; without them, claims would start 50 ms on."""


@pytest.fixture
def numbers():
    return {"rate": "400/s"}


def starts_after_hold(redis, folder) -> list[float]:
    """Return when jobs started, in seconds after the bucket was held."""
    held_at = int(redis.hget(keys.bucket("default"), "held_until_us")) / 1_000_000 - HOLD_SECONDS
    starts = [float(mark.read_text().split()[0]) for mark in folder.glob("*.started")]
    return sorted(start - held_at for start in starts if start > held_at)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("workers", "kind", "patience"),
    [(1, {"concurrency": 20}, 0.0), (2, {"concurrency": 20}, NEWS_SECONDS),
     (4, {"simple": True}, NEWS_SECONDS), (4, {}, NEWS_SECONDS)],
    ids=["the pool itself", "two pools", "simple workers", "forking workers"],
)  # fmt: skip
def test_no_claimed_job_starts_once_the_bucket_is_held(
    start_worker, job_queue, redis, tmp_path, workers, kind, patience
):
    redis.set("rq:suspended", 1)
    ids = [
        job_queue.enqueue("note_start", {"folder": str(tmp_path), "is_refused": number == 10}).id
        for number in range(JOBS)
    ]
    for _ in range(workers):
        start_worker(**kind)
    time.sleep(1)
    redis.delete("rq:suspended")
    reader = JobReader(redis)
    wait_for(lambda: all(reader.read(job_id).status == "finished" for job_id in ids))

    assert [
        s for s in starts_after_hold(redis, tmp_path) if patience < s < HOLD_SECONDS - 0.1
    ] == []
    attempts = {reader.read(job_id).attempts for job_id in ids if job_id != ids[10]}
    assert attempts == {1}
    assert reader.read(ids[10]).attempts == 2


def test_news_concern_what_was_asked_for_before_them():
    def claim_now() -> Claim:
        now = time.monotonic()
        return Claim("id", "default", "token", 0, 0, now, 1, {}, asked_at=now)

    news, before = HoldNews(), claim_now()
    assert not news.came_after(before)
    time.sleep(0.001)
    news.note()
    time.sleep(0.001)

    assert news.came_after(before)
    assert not news.came_after(claim_now())
