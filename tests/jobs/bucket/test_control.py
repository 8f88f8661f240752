import json

import pytest

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.configuring import (
    BucketConfigurer,
    BucketHistory,
    Change,
    UnknownBucketError,
    describe_change,
    rate_fields,
)
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.job.queue import BucketRefusal
from spigot.jobs.store import keys
from spigot.runtime.rate import Rate
from tests.support.clocked_bucket import KEEP_SECONDS, START_US
from tests.support.redis_content import content
from tests.support.round_trips import counted_round_trips

BUCKET = keys.bucket("default")
FILE = BucketConfig(rate="10/s", capacity=100)


@pytest.fixture
def control(bucket, redis):
    return BucketControl(redis, by="ada@host")


@pytest.fixture
def reader(redis):
    return BucketReader(redis)


class TestWords:
    def test_only_what_was_said_counts(self):
        assert BucketChange(capacity=5).fields() == {"capacity": 5}
        assert BucketChange().fields() == {}

    def test_a_rate_has_three_fields(self):
        assert BucketChange(rate=Rate.parse("60/m burst 3")).fields() == {
            "rate": "60/m burst 3",
            "interval_us": 1_000_000,
            "burst": 3,
        }
        assert rate_fields(None) == {"rate": "", "interval_us": "", "burst": ""}

    def test_any_number_of_running_jobs_is_a_word_too(self):
        assert BucketChange(max_running=None).fields() == {"max_running": 0}

    def test_a_switch_that_is_off_is_no_word(self):
        assert BucketChange(paused=False, draining=True).fields() == {"paused": "", "draining": 1}


class TestSet:
    def test_says_what_changed(self, control):
        change = BucketChange(rate=Rate.parse("5/s"), capacity=100, paused=True)

        changes = control.set("default", change)

        assert {describe_change(change) for change in changes} == {
            "rate 10/s → 5/s",
            "paused no → yes",
        }

    def test_is_one_round_trip(self, control):
        control.set("default", BucketChange(capacity=7))

        with counted_round_trips() as sent:
            control.set("default", BucketChange(capacity=8, paused=True))

        assert len(sent) == 1

    def test_counts_at_once(self, bucket, control):
        bucket.enqueue("a")
        control.set("default", BucketChange(paused=True))
        assert isinstance(bucket.ask(), Wait)
        control.set("default", BucketChange(paused=False))
        assert isinstance(bucket.ask(), Claim)

    def test_a_smaller_capacity_refuses_and_loses_nothing(self, bucket, control):
        for number in range(5):
            bucket.enqueue(f"job-{number}")

        control.set("default", BucketChange(capacity=2))

        refused = bucket.queue.enqueue("work", {}, now_us=bucket.now_us)
        assert isinstance(refused, BucketRefusal)
        assert [bucket.claim().job_id for _ in range(5)] == [f"job-{n}" for n in range(5)]

    def test_a_draining_bucket_refuses_and_leaks_on(self, bucket, control):
        bucket.enqueue("a")

        control.set("default", BucketChange(draining=True))

        refused = bucket.queue.enqueue("work", {}, now_us=bucket.now_us)
        assert isinstance(refused, BucketRefusal)
        assert refused.draining
        assert bucket.claim().job_id == "a"

    def test_wins_over_a_file_that_is_published_later(self, control, redis, reader):
        control.set("default", BucketChange(capacity=5, rate=Rate.parse("1/s")))

        BucketPublisher(redis).publish({"default": BucketConfig(rate="9/s", capacity=9)})

        state = reader.read("default")
        assert (state.capacity, state.rate, state.interval) == (5, "1/s", 1)

    def test_may_lift_a_limit_of_the_file(self, control, redis, reader):
        BucketPublisher(redis).publish({"default": BucketConfig(max_running=3)})
        assert reader.read("default").max_running == 3

        control.set("default", BucketChange(max_running=None))

        assert reader.read("default").max_running is None

    def test_wakes_a_worker_if_anything_changed(self, control, redis):
        redis.delete(keys.wake_up("default"))
        control.set("default", BucketChange(capacity=100))
        assert not redis.exists(keys.wake_up("default"))

        control.set("default", BucketChange(capacity=101))

        assert redis.lrange(keys.wake_up("default"), 0, -1) == [b"1"]

    def test_of_an_unknown_bucket_writes_nothing(self, control, redis):
        before = content(redis)

        for change in (BucketChange(capacity=5), BucketChange()):
            with pytest.raises(UnknownBucketError, match="there is no bucket 'other'"):
                control.set("other", change)

        assert content(redis) == before

    def test_is_logged_with_its_author(self, control, caplog):
        caplog.set_level("INFO")

        control.set("default", BucketChange(capacity=5))

        assert caplog.messages == ["bucket default: capacity 100 → 5 by ada@host"]


class TestReset:
    def test_lets_the_file_count_again(self, control, redis, reader):
        control.set(
            "default",
            BucketChange(
                rate=Rate.parse("1/s"), capacity=5, max_running=1, paused=True, draining=True
            ),
        )
        BucketPublisher(redis).publish({"default": BucketConfig(rate="2/s", capacity=300)})

        changes = control.reset("default")

        state = reader.read("default")
        assert (state.rate, state.interval, state.capacity) == ("2/s", 0.5, 300)
        assert (state.max_running, state.paused, state.draining) == (None, False, False)
        assert {change.field for change in changes} == {
            "rate",
            "capacity",
            "max_running",
            "paused",
            "draining",
        }
        assert not [name for name in redis.hkeys(BUCKET) if name.startswith(b"operator_")]

    def test_of_what_nobody_said_changes_nothing(self, control, redis):
        before = content(redis)

        assert control.reset("default") == []

        assert content(redis) == before


class TestSources:
    def test_say_who_set_each_number(self, redis, control, reader):
        BucketPublisher(redis).publish({"default": BucketConfig(rate="2/s")})
        control.set("default", BucketChange(paused=True))

        assert reader.read("default").sources == {
            "rate": "file",
            "capacity": "default",
            "max_running": "default",
            "paused": "operator",
            "draining": "default",
        }
        control.set("default", BucketChange(rate=Rate.parse("2/s")))
        assert reader.read("default").sources["rate"] == "operator"
        control.reset("default")
        assert reader.read("default").sources["rate"] == "file"

    def test_the_file_may_say_less_later(self, redis, bucket, reader):
        BucketPublisher(redis).publish({"default": BucketConfig(capacity=5, max_running=2)})
        BucketPublisher(redis).publish({"default": BucketConfig(rate="2/s")})

        state = reader.read("default")
        assert (state.capacity, state.max_running, state.sources["capacity"]) == (
            1000,
            None,
            "default",
        )


class TestHistory:
    def test_keeps_who_changed_what_and_when(self, bucket, redis):
        bucket.set(rate=Rate.parse("5/s burst 2"), max_running=None)

        assert BucketHistory(redis).read("default") == [
            {
                "at": "2027-01-15T08:00:00.000000Z",
                "by": "ada",
                "changes": {"rate": ["10/s", "5/s burst 2"], "max_running": ["", "0"]},
            }
        ]

    def test_keeps_the_last_hundred_newest_first(self, control, redis):
        for number in range(105):
            control.set("default", BucketChange(capacity=number + 1))

        kept = [record["changes"]["capacity"][1] for record in BucketHistory(redis).read("default")]
        assert kept == [str(number) for number in range(105, 5, -1)]

    def test_keeps_nothing_when_nothing_changed(self, control, redis):
        control.set("default", BucketChange(capacity=100))

        assert BucketHistory(redis).read("default") == []

    def test_keeps_strange_authors_as_they_are(self, redis, bucket):
        BucketControl(redis, by='x"\n\\é').set("default", BucketChange(capacity=1))

        assert BucketHistory(redis).read("default")[0]["by"] == 'x"\n\\é'


@pytest.mark.parametrize("change", ["set", "release", "purge"])
def test_a_list_of_changes_that_cannot_be_written_stops_no_change(bucket, control, redis, change):
    bucket.enqueue("a")
    bucket.hold(bucket.claim(), 60)
    redis.set(keys.changes("default"), "a stranger's")

    if change == "set":
        assert control.set("default", BucketChange(capacity=5))
    elif change == "release":
        assert control.release("default", bucket.now_us)
    else:
        assert control.purge("default", keep_seconds=KEEP_SECONDS) == 1


class TestPurge:
    def purge(self, control, redis):
        """Return how many were cancelled, and what then waits anywhere."""
        count = control.purge("default", keep_seconds=KEEP_SECONDS)
        queues = [keys.queue(name) for name in keys.queue_names("default")]
        scheduled = [f"rq:scheduled:{name}" for name in keys.queue_names("default")]
        return count, redis.exists(*queues, *scheduled, keys.delayed("default"))

    def test_cancels_all_that_waits(self, bucket, control, redis):
        for priority in ("high", "default", "low"):
            bucket.enqueue(priority, priority=priority)
        bucket.enqueue("late", "retried")
        claim = next(c for c in iter(bucket.claim, None) if c.job_id)
        bucket.retry(claim, delay=3600)

        assert self.purge(control, redis) == (4, 0)

        for job_id in ("high", "default", "low", "late"):
            job = bucket.read(job_id)
            assert job.status == "cancelled"
            assert job.error == "Cancelled: its bucket was purged by ada@host"
            assert 0 < redis.ttl(keys.job(job_id)) <= KEEP_SECONDS
            assert redis.zscore(
                "rq:canceled:" + redis.hget(keys.job(job_id), "origin").decode(), job_id
            )

    def test_leaves_a_line_for_the_result_log(self, bucket, control, redis):
        bucket.enqueue("a")

        self.purge(control, redis)

        (line,) = bucket.log().values()
        assert (line["id"], line["status"], line["type"]) == ("a", "cancelled", "work")
        assert line["error"] == "Cancelled: its bucket was purged by ada@host"

    def test_leaves_running_jobs_alone(self, bucket, control, redis):
        bucket.enqueue("a")
        claim = bucket.claim()
        redis.rpush(keys.queue("default"), "a")

        assert self.purge(control, redis) == (0, 0)

        assert bucket.status("a") == "started"
        assert bucket.finish(claim) is not None

    @pytest.mark.parametrize("status", ["finished", "failed", "canceled", "stopped"])
    def test_changes_no_job_that_has_ended(self, bucket, control, redis, status):
        bucket.enqueue("a")
        redis.hset(keys.job("a"), "status", status)
        before = redis.hgetall(keys.job("a"))

        assert self.purge(control, redis) == (0, 0)

        assert redis.hgetall(keys.job("a")) == before

    def test_drops_what_is_no_job(self, bucket, control, redis):
        redis.rpush(keys.queue("default"), "nobody")
        redis.zadd(keys.delayed("default"), {"nothing": 1})
        redis.zadd("rq:scheduled:default", {"none": 1})

        assert self.purge(control, redis) == (0, 0)

    def test_of_many_jobs_does_not_keep_the_server_long(self, bucket, control, redis, monkeypatch):
        monkeypatch.setattr("spigot.jobs.bucket.control.PURGED_AT_ONCE", 10)
        for number in range(35):
            bucket.enqueue(f"job-{number}", priority=["high", "default", "low"][number % 3])

        with counted_round_trips() as sent:
            assert self.purge(control, redis)[0] == 35

        assert len([command for command in sent if b"EVAL" in command]) == 4

    def test_is_kept_as_one_change_however_many_calls_it_takes(
        self, bucket, control, redis, monkeypatch
    ):
        monkeypatch.setattr("spigot.jobs.bucket.control.PURGED_AT_ONCE", 10)
        for number in range(35):
            bucket.enqueue(f"job-{number}")

        self.purge(control, redis)

        (record,) = BucketHistory(redis).read("default")
        assert (record["by"], record["changes"]) == ("ada@host", {"purged": ["", "35"]})

    def test_later_jobs_know_their_position(self, bucket, control, redis):
        for number in range(150):
            bucket.redis.rpush(keys.queue("default"), f"nobody-{number}")
        self.purge(control, redis)

        assert [bucket.enqueue("a").position, bucket.enqueue("b").position] == [1, 2]
        bucket.claim()
        assert bucket.read("b").position == 1

    def test_of_an_unknown_bucket_is_refused(self, control):
        with pytest.raises(UnknownBucketError, match="there is no bucket 'other'"):
            control.purge("other", keep_seconds=1)


def test_a_change_reads_well():
    assert describe_change(Change("max_running", "", "8")) == "max_running none → 8"


def test_numbers_come_before_an_operators_words(redis):
    with pytest.raises(UnknownBucketError):
        BucketConfigurer(redis).set("default", {"operator": {"capacity": 1}})
    with pytest.raises(UnknownBucketError):
        BucketConfigurer(redis).set("default", {"default": {"capacity": 1}})

    assert redis.keys() == []


def test_records_are_json(bucket, redis):
    bucket.set(paused=True)

    (record,) = redis.lrange(keys.changes("default"), 0, -1)
    assert json.loads(record)["at"].startswith("2027-01-15T08:00:00")
    assert START_US == 1_800_000_000_000_000
