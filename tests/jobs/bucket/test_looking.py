"""What a worker finds that looks at a bucket while it waits for a wake-up."""

import pytest

from spigot.jobs.bucket.leaky_bucket import Look
from spigot.jobs.store import keys
from tests.support.clocked_bucket import SECOND_US, WORKER, ClockedBucket

RECORD = f"rq:worker:{WORKER}"
MS = 1000


@pytest.fixture
def looked_at(bucket, redis):
    """A bucket that a worker looks at, and looked through a moment ago."""
    redis.hset(RECORD, mapping={"birth": "now", "state": "idle"})
    bucket.ask()
    bucket.leases.reap(now_us=bucket.now_us)
    return bucket


def look(bucket: ClockedBucket, *, polling: bool = True) -> Look:
    return bucket.bucket.look(WORKER, polling=polling, now_us=bucket.now_us)


def field(bucket: ClockedBucket, name: str) -> int:
    return int(bucket.redis.hget(keys.bucket("default"), name))


class TestPoller:
    def test_looks_again_within_a_second_where_there_is_nothing(self, looked_at):
        assert look(looked_at) == Look(0.97, "idle", must_reap=False)

    def test_takes_turns_with_another(self, looked_at):
        look(looked_at)

        other = looked_at.bucket.look("other", polling=True, now_us=looked_at.now_us)

        assert other.seconds == pytest.approx(2 * 0.97)

    def test_asks_the_bucket_that_is_polled_by_two_others(self, looked_at):
        look(looked_at)
        looked_at.bucket.look("other", polling=True, now_us=looked_at.now_us)

        third = looked_at.bucket.look("third", polling=True, now_us=looked_at.now_us)

        assert third.seconds is None

    @pytest.mark.parametrize("queue", ["default-high", "default", "default-low"])
    def test_asks_for_a_job_that_plain_rq_pushed(self, looked_at, redis, queue):
        redis.rpush(keys.queue(queue), "a")

        assert look(looked_at).seconds is None

    def test_asks_for_no_job_of_a_queue_that_it_does_not_serve(self, looked_at, redis):
        redis.rpush(keys.queue("default-low"), "a")
        looked_at.bucket.queues = ["default"]

        assert look(looked_at).seconds == 0.97

    def test_asks_for_a_job_at_the_moment_when_it_is_due(self, looked_at):
        looked_at.enqueue("a", "retried")
        looked_at.retry(looked_at.claim(), delay=0.3)

        assert look(looked_at).seconds == pytest.approx(0.3)
        looked_at.sleep(0.3)
        assert look(looked_at).seconds is None

    def test_lets_jobs_wait_that_may_not_leave(self, looked_at, redis):
        looked_at.enqueue("a")
        looked_at.set(paused=True)
        assert look(looked_at).seconds == 0.97

        looked_at.set(paused=False)
        redis.set("rq:suspended", 1)
        assert look(looked_at).seconds == 0.97

        redis.delete("rq:suspended")
        assert look(looked_at).seconds is None

    def test_lets_jobs_wait_while_as_many_run_as_may(self, looked_at):
        looked_at.set(max_running=1)
        looked_at.enqueue("a")
        claim = looked_at.claim()
        looked_at.enqueue("b")
        assert look(looked_at).seconds == 0.97

        looked_at.finish(claim)
        assert look(looked_at).seconds is None

    def test_asks_a_bucket_that_has_no_numbers(self, looked_at, redis):
        redis.delete(keys.bucket("default"))

        assert look(looked_at).seconds is None

    def test_asks_a_bucket_of_a_newer_version(self, looked_at, redis):
        redis.hset(keys.bucket("default"), "schema", 99)

        assert look(looked_at).seconds is None

    def test_asks_after_the_clock_was_set_back(self, looked_at):
        look(looked_at)
        looked_at.sleep(-2)

        assert look(looked_at).seconds is None

    def test_asks_while_delayed_jobs_go_back_with_the_clock(self, looked_at, redis):
        redis.hset(keys.bucket("default"), mapping={"delayed_back_ms": 2, "delayed_from_ms": 0})

        assert look(looked_at).seconds is None

    def test_is_one_of_the_pollers(self, looked_at, redis):
        redis.delete(keys.pollers("default"))

        look(looked_at)

        assert redis.zrange(keys.pollers("default"), 0, -1) == [WORKER.encode()]

    def test_gives_a_sign_of_life(self, looked_at):
        looked_at.sleep(3)

        assert not look(looked_at).must_reap
        assert field(looked_at, "heard_us") == field(looked_at, "clock_us") == looked_at.now_us

    def test_leaves_a_silence_to_a_reap_that_may_be_an_outage(self, looked_at):
        before_us = field(looked_at, "heard_us")
        looked_at.sleep(3.001)

        assert look(looked_at).must_reap
        assert field(looked_at, "heard_us") == before_us

    def test_has_the_record_mended_that_rq_forgot(self, looked_at, redis):
        redis.hset(RECORD, "state", "busy")
        assert look(looked_at).rq_state == "busy"

        redis.hdel(RECORD, "birth")
        assert not look(looked_at).rq_state

        redis.delete(RECORD)
        redis.set(RECORD, "spoilt")
        assert not look(looked_at).rq_state


class TestReaping:
    """Leases are looked through when there is something to find, and now and then."""

    def pass_time(self, bucket: ClockedBucket, seconds: float) -> None:
        """Let others give signs of life meanwhile."""
        bucket.sleep(seconds)
        bucket.redis.hset(keys.bucket("default"), "heard_us", bucket.now_us)

    def test_is_due_now_and_then(self, looked_at):
        self.pass_time(looked_at, 30)
        assert not look(looked_at).must_reap

        self.pass_time(looked_at, 0.001)
        assert look(looked_at).must_reap

    def test_is_due_if_it_was_done_in_a_future(self, looked_at, redis):
        redis.hset(keys.bucket("default"), "reaped_us", looked_at.now_us + 1)

        assert look(looked_at).must_reap

    @pytest.mark.parametrize("key", [keys.leases, keys.workers])
    def test_is_due_when_a_worker_fell_silent(self, looked_at, redis, key):
        redis.zadd(key("default"), {"other": looked_at.now_us // MS})
        assert not look(looked_at).must_reap

        looked_at.now_us += MS
        assert look(looked_at).must_reap

    @pytest.mark.parametrize("key", [keys.unlogged, keys.dependents])
    def test_is_due_soon_when_others_left_something_undone(self, looked_at, redis, key):
        if key is keys.unlogged:
            redis.hset(key("default"), "token", "other\nline")
        else:
            redis.sadd(key("default"), "parent")
        self.pass_time(looked_at, 1.5)
        assert not look(looked_at).must_reap

        self.pass_time(looked_at, 0.001)
        assert look(looked_at).must_reap

    def test_is_due_soon_while_jobs_wait_whose_places_it_notes(self, looked_at):
        looked_at.set(paused=True)
        looked_at.enqueue("a")
        self.pass_time(looked_at, 1.5)
        assert not look(looked_at).must_reap

        self.pass_time(looked_at, 0.001)
        assert look(looked_at).must_reap


class TestSleeper:
    def test_asks_the_bucket_that_nobody_polls(self, looked_at, redis):
        assert look(looked_at, polling=False).seconds is not None

        redis.delete(keys.pollers("default"))
        assert look(looked_at, polling=False).seconds is None

    def test_leaves_all_else_to_the_pollers(self, looked_at, redis):
        before = redis.hgetall(keys.bucket("default"))
        looked_at.sleep(1)
        redis.rpush(keys.queue("default"), "a")

        found = look(looked_at, polling=False)

        assert found.seconds is not None
        assert not found.must_reap
        assert found.rq_state == "idle"
        assert redis.hgetall(keys.bucket("default")) == before
        assert field(looked_at, "clock_us") < looked_at.now_us + SECOND_US
