import pytest
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.bucket.state import BucketReader, BucketState
from spigot.jobs.store import keys
from tests.support.leak_model import CLAIM_AHEAD_US
from tests.support.minimal_app import NUMBERS
from tests.support.redis_content import content
from tests.support.round_trips import counted_round_trips

NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
NOW_MS = NOW_US // 1000
DEFAULT = keys.bucket("default")


@pytest.fixture
def reader(queue, redis):
    """Reads the buckets that ``queue`` published."""
    return BucketReader(redis)


def read(reader, name="default"):
    return reader.read(name, now_us=NOW_US)


def test_an_idle_bucket_shows_its_numbers(reader):
    assert read(reader) == BucketState(
        name="default",
        rate="10/s",
        interval=0.1,
        burst=1,
        capacity=3,
        waiting=0,
        delayed=0,
        running=0,
        max_running=None,
        workers=0,
        concurrency=0,
        budgets={},
        waits_for=None,
        paused=False,
        draining=False,
        held_until=None,
        hold_reason=None,
        hold_kind=None,
        probing=False,
        next_leak_at="2026-01-01T00:00:00.000000Z",
        sources={
            "rate": "file",
            "capacity": "file",
            "max_running": "default",
            "paused": "default",
            "draining": "default",
        },
    )


def test_the_rate_is_shown_as_it_was_written(reader):
    narrow = read(reader, "narrow")

    assert (narrow.rate, narrow.interval, narrow.burst) == ("60/m burst 3", 1, 3)
    assert (narrow.capacity, narrow.max_running) == (2, 4)


def test_what_waits_is_counted_over_all_priorities(reader, queue):
    for priority in ("high", "default", "low"):
        queue.enqueue("add", {"x": 1}, priority)

    assert read(reader).waiting == 3
    assert read(reader, "narrow").waiting == 0


def test_what_is_delayed_is_counted_ours_and_rqs(reader, redis):
    redis.zadd(keys.delayed("default"), {"a": 1, "b": 2})
    for number, name in enumerate(keys.queue_names("default"), start=1):
        redis.zadd(f"rq:scheduled:{name}", {f"{name}-{n}": n for n in range(number)})

    assert read(reader).delayed == 2 + 1 + 2 + 3


def test_what_runs_is_counted(reader, queue, redis):
    queue.enqueue("add", {"x": 1}, now_us=NOW_US)
    LeakyBucket(redis, "default").claim("w", "t1", lease_ms=1000, now_us=NOW_US)

    assert (read(reader).running, read(reader).waiting) == (1, 0)


def test_workers_count_as_long_as_they_are_alive(reader, redis):
    redis.zadd(keys.workers("default"), {"alive": NOW_MS, "also": NOW_MS + 1, "dead": NOW_MS - 1})

    assert read(reader).workers == 2


def test_the_next_leak_follows_the_last_slot(reader, redis):
    redis.hset(DEFAULT, "last_slot_us", NOW_US - 40_000)

    assert read(reader).next_leak_at == "2026-01-01T00:00:00.060000Z"


def test_the_next_leak_follows_a_slot_that_was_claimed_ahead(reader, redis):
    redis.hset(DEFAULT, "last_slot_us", NOW_US + CLAIM_AHEAD_US)

    assert read(reader).next_leak_at == "2026-01-01T00:00:00.150000Z"


def test_a_held_bucket_says_until_when(reader, redis):
    redis.hset(DEFAULT, "held_until_us", NOW_US + 1)

    assert read(reader).held_until == "2026-01-01T00:00:00.000001Z"
    assert read(reader).next_leak_at == "2026-01-01T00:00:00.000001Z"


def test_a_hold_that_is_over_is_not_shown(reader, redis):
    redis.hset(DEFAULT, "held_until_us", NOW_US)

    assert read(reader).held_until is None


def test_a_paused_bucket_has_no_next_leak(reader, redis):
    redis.hset(DEFAULT, "paused", "1")

    assert (read(reader).paused, read(reader).next_leak_at) == (True, None)


def test_a_draining_bucket_says_so(reader, redis):
    redis.hset(DEFAULT, "draining", "1")

    assert read(reader).draining


def test_the_clock_is_that_of_the_server(reader, redis):
    redis.zadd(keys.workers("default"), {"alive": int(redis.time()[0]) * 1000 + 60_000})
    redis.zadd(keys.workers("default"), {"dead": int(redis.time()[0]) * 1000 - 1})

    assert reader.read("default").workers == 1


@pytest.mark.parametrize("name", ["other", "", "default:leases", "Default", "default-high", "a b"])
def test_a_bucket_that_does_not_exist_is_none(reader, name):
    assert reader.read(name) is None


def test_reading_is_one_round_trip_and_changes_nothing(reader, redis):
    read(reader)
    before = content(redis)

    with counted_round_trips() as sent:
        read(reader)

    assert len(sent) == 1
    assert content(redis) == before


def test_all_buckets_are_read_by_name(reader, redis):
    assert [bucket.name for bucket in reader.read_all()] == ["default", "narrow"]


def test_a_name_without_numbers_is_left_out(reader, redis):
    redis.delete(keys.bucket("narrow"))

    assert [bucket.name for bucket in reader.read_all()] == ["default"]


class TestAnEmptiedServer:
    def test_has_no_buckets_for_those_who_know_none(self, redis):
        assert BucketReader(redis).read_all() == []
        assert BucketReader(redis).read("default") is None
        assert content(redis) == {}

    def test_gets_them_again_from_those_who_read_the_file(self, redis):
        reader = BucketReader(redis, NUMBERS)

        assert [bucket.name for bucket in reader.read_all()] == ["default", "narrow"]
        assert BucketReader(redis).read("narrow").rate == "60/m burst 3"

    def test_also_if_one_bucket_is_asked_for(self, redis):
        assert BucketReader(redis, {"mail": BucketConfig()}).read("mail").rate == "10/s"

    def test_has_no_more_than_the_file_names(self, redis):
        assert BucketReader(redis, NUMBERS).read("mail") is None
        assert content(redis) == {}


def test_jobs_of_plain_rq_wait_in_the_bucket_too(reader, redis):
    Queue("default-low", connection=redis, serializer=JSONSerializer).enqueue("os.getpid")

    assert read(reader).waiting == 1
