import time

import pytest
from redis.exceptions import RedisError

from spigot import BucketFull, IdempotencyConflict, enqueue, enqueue_many
from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.enqueued_job import JobGone
from spigot.jobs.program import program_at
from spigot.jobs.store import keys
from tests.support.round_trips import counted_round_trips
from tests.support.servers import own_server

SECOND = 1_000_000


@pytest.fixture(autouse=True)
def program(program_environment):
    """These tests run as a program would that uses the sample application."""


@pytest.fixture
def worker(redis):
    """Claim the next job of the bucket, as a worker would."""
    bucket = LeakyBucket(redis, "default")
    return lambda: bucket.claim("worker", "token", lease_ms=60_000)


def end(redis, job, **fields):
    """Let the job end as if a worker had ended it."""
    redis.hset(keys.job(job.id), mapping={"status": "finished", "spigot_revision": 9, **fields})
    redis.publish(keys.job_events(), job.id)


class TestTheJobInTheHand:
    def test_is_as_it_was_until_it_is_refreshed(self, worker):
        job = enqueue("add", {"x": 1})
        worker()

        assert (job.status, job.position) == ("queued", 1)
        assert job.refresh() is job
        assert (job.status, job.position, job.attempts) == ("started", None, 1)

    def test_shows_what_the_interface_shows(self):
        job = enqueue("add", {"x": 1})

        assert job.to_json() == {name: getattr(job, name) for name in job.to_json()}
        assert repr(job) == f"<job {job.id}: add, queued>"

    def test_is_waited_for_until_it_ends(self, redis, soon):
        job = enqueue("add", {"x": 1})
        soon(end, redis, job)

        began = time.monotonic()
        assert job.wait(60).ended
        assert time.monotonic() - began < 30

    def test_is_waited_for_no_longer_than_asked(self):
        job = enqueue("add", {"x": 1})

        began = time.monotonic()
        assert not job.wait(0.2).ended
        assert 0.2 <= time.monotonic() - began < 30

    @pytest.mark.parametrize("seconds", [0, -1])
    def test_is_looked_at_once_without_time(self, redis, seconds):
        job = enqueue("add", {"x": 1})
        end(redis, job)

        assert job.wait(seconds).ended

    def test_is_cancelled_while_it_waits(self):
        job = enqueue("add", {"x": 1})

        assert job.cancel().status == "cancelled"
        assert job.cancel().ended

    def test_is_told_to_stop_while_it_runs(self, redis, worker):
        job = enqueue("add", {"x": 1})
        worker()

        assert job.cancel().status == "started"
        assert redis.hexists(keys.job(job.id), "spigot_stop")

    @pytest.mark.parametrize("ask", ["refresh", "cancel", "wait"])
    def test_may_be_gone(self, redis, ask):
        job = enqueue("add", {"x": 1})
        redis.delete(keys.job(job.id))

        with pytest.raises(JobGone, match=f"there is no job '{job.id}' any more"):
            getattr(job, ask)(*([1] if ask == "wait" else []))

    def test_is_known_as_it_was_while_the_server_is_away(self, monkeypatch):
        with own_server() as server:
            job = enqueue("add", {"x": 1}, redis_url=server.url)
            assert program_at(server.url) is program_at(server.url)
        with pytest.raises(RedisError):
            job.refresh()

        assert job.status == "queued"


class TestAnIdempotencyKey:
    def test_finds_the_first_job(self, redis):
        jobs = [enqueue("add", {"x": 1}, idempotency_key="k1") for _ in range(2)]

        assert jobs[0].id == jobs[1].id
        assert redis.llen(keys.queue("default")) == 1

    @pytest.mark.parametrize(
        "other",
        [{"payload": {"x": 2}}, {"type": "shout", "payload": {"text": ""}}, {"priority": "high"}],
    )
    def test_stands_for_one_job_alone(self, redis, other):
        enqueue("add", {"x": 1}, idempotency_key="k1")

        with pytest.raises(IdempotencyConflict, match="'k1' was used for another job"):
            enqueue(**{"type": "add", "payload": {"x": 1}, **other}, idempotency_key="k1")

        assert redis.llen(keys.queue("default")) == 1

    def test_costs_no_round_trip_more(self):
        enqueue("add", {"x": 1})

        with counted_round_trips() as sent:
            enqueue("add", {"x": 1}, idempotency_key="k", delay=1)

        assert len(sent) == 1


class TestADelay:
    def test_keeps_the_job_out_of_its_queue_until_then(self, redis):
        job = enqueue("add", {"x": 1}, priority="high", delay=30)

        assert (job.status, job.position, job.priority) == ("delayed", None, "high")
        assert 29 < job.estimated_start_in <= 30
        assert not redis.exists(keys.queue("default-high"))

    def test_ends_with_the_job_in_its_queue(self, redis):
        job = enqueue("add", {"x": 1}, priority="high", delay=30)
        later_us = int(time.time() + 31) * SECOND

        claim = LeakyBucket(redis, "default").claim(
            "worker", "token", lease_ms=60_000, now_us=later_us
        )

        assert isinstance(claim, Claim)
        assert (claim.job_id, claim.queue) == (job.id, "default-high")

    def test_needs_a_place_in_the_bucket(self):
        for _ in range(3):
            enqueue("add", {"x": 1}, delay=30)

        with pytest.raises(BucketFull):
            enqueue("add", {"x": 1}, delay=30)
        assert enqueue("add", {"x": 1}).position == 1

    def test_can_be_cancelled(self, redis):
        assert enqueue("add", {"x": 1}, delay=30).cancel().status == "cancelled"
        assert not redis.exists(keys.delayed("default"))

    @pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), 10**9])
    def test_is_a_number_of_seconds_up_to_a_year(self, redis, delay):
        with pytest.raises(ValueError, match="delay must be 0 to 31622400 seconds"):
            enqueue("add", {"x": 1}, delay=delay)

        assert not redis.exists(keys.delayed("default"))


@pytest.mark.parametrize("call", [enqueue, enqueue_many])
def test_an_empty_idempotency_key_is_none_that_jobs_may_share(redis, call):
    payload = {"x": 1} if call is enqueue else [{"x": 1}]

    with pytest.raises(ValueError, match="idempotency_key must not be empty"):
        call("add", payload, idempotency_key="")

    assert not redis.exists("rq:queue:default")
