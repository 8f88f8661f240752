"""A job counts as taken when the replicas have it."""

import time

import pytest
from redis.exceptions import ResponseError

from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.queue import BucketRefusal, IdempotencyKey, JobQueue, Repeated
from spigot.jobs.store.replica_wait import NotReplicatedError, ReplicaWait
from spigot.runtime.server.redis_connection import connect
from tests.support.minimal_app import NUMBERS
from tests.support.round_trips import counted_round_trips

WAIT = ReplicaWait(1, 0.2)


@pytest.fixture
def queue(shared_pair, catalog):
    with connect(shared_pair.url, timeout=5) as redis:
        BucketPublisher(redis).publish(NUMBERS)
        yield JobQueue(redis, catalog, NUMBERS, keep_seconds=600, wait=WAIT)


def key(name):
    return IdempotencyKey(f"spigot:1:idempotency:{name}", "fingerprint")


def test_a_job_that_is_taken_is_on_the_replica(shared_pair, queue):
    for _ in range(3):
        job = queue.enqueue("add", {"x": 1})
        assert shared_pair.new.exists(f"rq:job:{job.id}")


def test_it_costs_no_further_round_trip(queue):
    queue.enqueue("add", {"x": 1})

    with counted_round_trips() as sent:
        queue.enqueue("add", {"x": 1})

    assert len(sent) == 1


def test_scripts_that_were_forgotten_are_loaded_again(shared_pair, queue):
    shared_pair.old.script_flush()

    job = queue.enqueue("add", {"x": 1})

    assert shared_pair.new.exists(f"rq:job:{job.id}")


def test_without_the_replica_it_stands_but_is_not_taken_and_may_be_sent_again(shared_pair, queue):
    shared_pair.hang_new(True)

    for _ in range(2):  # the second writes no job, and must wait for the first all the same
        began = time.monotonic()
        with pytest.raises(NotReplicatedError, match=r"only 0 of 1 replicas had it after 0\.2 s"):
            queue.enqueue("add", {"x": 1}, idempotency=key("k"))
        assert 0.19 < time.monotonic() - began < 2
        assert shared_pair.old.llen("rq:queue:default") == 1

    shared_pair.hang_new(False)
    again = queue.enqueue("add", {"x": 1}, idempotency=key("k"))
    assert isinstance(again, Repeated)
    assert shared_pair.new.exists(f"rq:job:{again.job.id}")
    assert shared_pair.old.llen("rq:queue:default") == 1


def test_a_refusal_needs_no_replica(shared_pair, queue):
    shared_pair.old.hset("spigot:1:bucket:default", "capacity", 0)
    shared_pair.hang_new(True)

    assert isinstance(queue.enqueue("add", {"x": 1}), BucketRefusal)


def test_a_user_who_may_not_wait_is_told(shared_pair, queue, catalog):
    shared_pair.old.acl_setuser(
        "eve", enabled=True, nopass=True, commands=["+@all", "-wait"], keys=["*"], channels=["*"]
    )
    with connect(f"{shared_pair.url}?username=eve&password=x", timeout=5) as redis:
        asking = JobQueue(redis, catalog, NUMBERS, keep_seconds=600, wait=WAIT)
        with pytest.raises(ResponseError, match="'wait' command"):
            asking.enqueue("add", {"x": 1})
