import threading
import time

import pytest
from redis.exceptions import ConnectionError

from spigot.jobs.job.following import follow
from spigot.runtime.server.redis_connection import connect
from tests.support.clocked_bucket import ClockedBucket
from tests.support.servers import own_server


def test_ends_with_the_job(bucket, redis):
    bucket.enqueue("a")
    seen = []
    for job in follow(redis, "a", tick_seconds=0.1):
        seen.append(job.status)
        if len(seen) == 1:
            bucket.finish(bucket.claim())

    assert (seen[0], seen[-1]) == ("queued", "finished")
    assert seen.count("finished") == 1


def test_ticks_while_nothing_changes(bucket, redis):
    bucket.enqueue("a")
    ticks = follow(redis, "a", tick_seconds=0.05)
    began = time.monotonic()

    assert [next(ticks).status for _ in range(5)] == ["queued"] * 5
    assert time.monotonic() - began < 20
    ticks.close()


def test_sees_a_job_move_forward(bucket, redis):
    for job_id in ("a", "b"):
        bucket.enqueue(job_id)
    ticks = follow(redis, "b", tick_seconds=0.05)
    assert next(ticks).position == 2
    bucket.claim()

    assert any(job.position == 1 for job in ticks)
    ticks.close()


def test_there_is_no_such_job(redis):
    assert list(follow(redis, "nobody", tick_seconds=0.1)) == [None]


def test_a_job_that_is_deleted_meanwhile_ends_it(bucket, redis):
    bucket.enqueue("a")
    ticks = follow(redis, "a", tick_seconds=0.05)
    next(ticks)
    redis.delete("rq:job:a")

    assert list(ticks)[-1] is None


def test_outlasts_a_server_that_hangs():
    with own_server() as server:
        bucket = ClockedBucket(connect(server.url, timeout=10))
        bucket.enqueue("a")
        ticks = follow(connect(server.url, timeout=0.2), "a", tick_seconds=0.1)
        next(ticks)
        server.hang()
        threading.Timer(1.5, server.go_on).start()
        assert [next(ticks).status for _ in range(3)] == ["queued"] * 3  # what was known
        bucket.finish(bucket.claim())  # waits until the server goes on

        assert list(ticks)[-1].status == "finished"


def test_a_server_that_is_away_at_the_beginning_is_told():
    with pytest.raises(ConnectionError):
        next(follow(connect("redis://127.0.0.1:1", timeout=0.2), "a", tick_seconds=0.1))
