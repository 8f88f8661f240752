"""The end of an attempt waits for the replicas, and stands without them."""

import logging

import pytest

from spigot.jobs.store import keys
from spigot.jobs.store.replica_wait import ReplicaWait
from spigot.runtime.server.redis_connection import connect
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.lease_batch import LeaseBatch
from spigot.worker.leases.lease_store import LeaseStore
from tests.support.clocked_bucket import WORKER, ClockedBucket
from tests.support.consistency import problems, status_of
from tests.support.processes import wait_for
from tests.support.round_trips import counted_round_trips

pytestmark = pytest.mark.slow

WAIT = ReplicaWait(1, 0.2)


@pytest.fixture
def bucket(shared_pair):
    with connect(shared_pair.url, timeout=5) as redis:
        yield ClockedBucket(redis)


@pytest.fixture
def leases(bucket):
    return LeaseStore(bucket.redis, "default", WORKER, bucket.leases.terms, WAIT)


def claims(bucket, count):
    for number in range(count):
        bucket.enqueue(f"job-{number}")
    return [bucket.claim() for _ in range(count)]


def not_replicated(shared_pair):
    counts = shared_pair.old.hmget(
        keys.stats("default"), "not_replicated:work", "not_replicated:rq"
    )
    return tuple(int(count or 0) for count in counts)


def test_an_end_is_on_the_replica_and_costs_no_further_round_trip(shared_pair, bucket, leases):
    one, other = claims(bucket, 2)
    leases.complete(AttemptReport(one.token, "work"), "finished", now_us=bucket.now_us)

    with counted_round_trips() as sent:
        leases.complete(AttemptReport(other.token, "work"), "finished", now_us=bucket.now_us)

    assert len(sent) == 1
    assert status_of(shared_pair.new, "job-1") == "finished"
    assert not_replicated(shared_pair) == (0, 0)


def test_without_the_replica_ends_stand_and_are_told_and_counted(
    shared_pair, bucket, leases, caplog
):
    one, other = claims(bucket, 2)
    shared_pair.hang_new(True)
    batch = LeaseBatch(leases)
    typed = AttemptReport(one.token, "work", counted_as="work")
    plain = AttemptReport(other.token, "anybodys.function")
    batch.complete(typed, "finished", now_us=bucket.now_us)
    batch.give_back(plain, "retrying", now_us=bucket.now_us)

    with caplog.at_level(logging.WARNING):
        ended = batch.write()

    assert all(ended)
    assert not list(problems(shared_pair.old, "default", ["job-0", "job-1"]))
    (line,) = caplog.messages
    assert line == (
        "the end of 2 attempts may be lost by a failover, after which they run again: "
        "only 0 of 1 replicas had it after 0.2 s"
    )
    assert not_replicated(shared_pair) == (1, 1)


def test_an_attempt_that_is_not_ours_is_not_counted(shared_pair, bucket, leases, caplog):
    shared_pair.hang_new(True)

    assert leases.complete(AttemptReport("nobody's", "work"), "finished") is None

    assert not caplog.messages
    assert not_replicated(shared_pair) == (0, 0)


def test_a_worker_goes_on_without_the_replica_and_ends_nothing_twice(
    shared_pair, bucket, start_worker
):
    shared_pair.hang_new(True)
    ids = [bucket.queue.enqueue("work", {}).id for _ in range(2)]

    worker = start_worker(redis_url=shared_pair.url, wait_replicas=1, wait_seconds=0.2)

    wait_for(
        lambda: all(status_of(shared_pair.old, job_id) in ("failed", "finished") for job_id in ids)
    )
    wait_for(lambda: worker.log.count("may be lost by a failover") == 2)
    assert not list(problems(shared_pair.old, "default", ids))
    assert [shared_pair.old.xlen(keys.results(job_id)) for job_id in ids] == [1, 1]


def test_a_worker_whose_user_may_not_wait_says_so_and_ends(shared_pair, bucket, start_worker):
    shared_pair.old.acl_setuser(
        "eve", enabled=True, nopass=True, commands=["+@all", "-wait"], keys=["*"], channels=["*"]
    )

    worker = start_worker(redis_url=f"{shared_pair.url}?username=eve&password=x", wait_replicas=1)

    assert worker.wait() != 0
    assert "does not give its user the rights +wait" in worker.log
