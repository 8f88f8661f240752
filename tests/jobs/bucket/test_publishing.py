import pytest

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.configuring import BucketHistory
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from tests.support.redis_content import content
from tests.support.round_trips import counted_round_trips

MAIL = keys.bucket("mail")
CONFIG = BucketConfig(rate="60/m burst 3", capacity=200, max_running=8, workers=4)
NUMBERS = {
    b"schema": b"1",
    b"rate": b"60/m burst 3",
    b"interval_us": b"1000000",
    b"burst": b"3",
    b"capacity": b"200",
    b"max_running": b"8",
    b"workers": b"4",
}


@pytest.fixture
def publisher(redis):
    return BucketPublisher(redis)


def counting(redis):
    """The fields that count, without where they come from."""
    fields = redis.hgetall(MAIL)
    del fields[b"padding"]
    return {name: fields[name] for name in fields if not name.startswith((b"file_", b"operator_"))}


def test_what_the_file_says_counts(publisher, redis):
    publisher.publish({"mail": CONFIG})

    assert counting(redis) == NUMBERS
    assert redis.smembers(keys.buckets()) == {b"mail"}


def test_what_the_file_does_not_limit_is_not_limited(publisher, redis):
    publisher.publish({"mail": BucketConfig()})

    assert redis.hget(MAIL, "max_running") in (None, b"")
    assert redis.hget(MAIL, "workers") in (None, b"")


def test_publishing_is_one_round_trip_a_bucket(publisher):
    publisher.publish({"mail": CONFIG})

    with counted_round_trips() as sent:
        publisher.publish({"mail": CONFIG, "other": CONFIG})

    assert len(sent) == 2


def test_publishing_again_changes_nothing(publisher, redis):
    publisher.publish({"mail": CONFIG})
    redis.delete(keys.wake_up("mail"))
    before = content(redis)

    publisher.publish({"mail": CONFIG}, by="a file")

    assert content(redis) == before


def test_a_new_file_counts_at_once(publisher, redis):
    publisher.publish({"mail": CONFIG})

    publisher.publish({"mail": BucketConfig(rate="5/s", capacity=7)})

    assert redis.hmget(MAIL, "rate", "interval_us", "burst", "capacity") == [
        b"5/s",
        b"200000",
        b"1",
        b"7",
    ]
    assert redis.hget(MAIL, "max_running") in (None, b"")


def test_what_the_file_says_and_what_it_leaves_out_are_told_apart(publisher, redis):
    publisher.publish({"mail": BucketConfig(rate="5/s", workers=3)})

    assert redis.hmget(MAIL, "file_rate", "file_workers", "default_capacity") == [
        b"5/s",
        b"3",
        b"1000",
    ]
    assert not any(redis.hexists(MAIL, f"default_{name}") for name in ("rate", "workers"))
    assert not any(redis.hexists(MAIL, f"file_{name}") for name in ("capacity", "max_running"))


def test_a_slot_already_handed_out_is_kept(publisher, redis):
    publisher.publish({"mail": CONFIG})
    redis.hset(MAIL, "last_slot_us", 17)

    publisher.publish({"mail": BucketConfig(rate="5/s")})

    assert redis.hget(MAIL, "last_slot_us") == b"17"


def test_a_changed_file_is_kept_in_the_list_of_changes(publisher, redis):
    publisher.publish({"mail": CONFIG}, by="the first")
    publisher.publish({"mail": BucketConfig(rate="5/s", capacity=200)}, by="buckets.json of here")

    changes = BucketHistory(redis).read("mail")

    assert [(change["by"], change["changes"]["rate"]) for change in changes] == [
        ("buckets.json of here", ["60/m burst 3", "5/s"])
    ]


def test_a_publishing_that_names_nobody_is_not_kept(publisher, redis):
    publisher.publish({"mail": CONFIG})
    publisher.publish({"mail": BucketConfig()})

    assert not redis.exists(keys.changes("mail"))
