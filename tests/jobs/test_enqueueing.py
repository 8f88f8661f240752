import pytest
from redis.exceptions import RedisError

from spigot import (
    BucketFull,
    EnqueuedJob,
    IdempotencyConflict,
    InvalidPayload,
    UnknownJobType,
    enqueue,
    enqueue_many,
)
from spigot.jobs.job.state import JobReader
from spigot.jobs.program import program_at
from spigot.jobs.store import keys
from spigot.runtime.server.server_url import NoServerError
from tests.support.minimal_app import Order
from tests.support.round_trips import counted_round_trips


@pytest.fixture(autouse=True)
def program(program_environment):
    """These tests run as a program would that uses the sample application."""


def test_a_job_is_enqueued_and_returned(redis):
    job = enqueue("add", {"x": 1}, priority="high")

    assert (job.status, job.priority, job.position) == ("queued", "high", 1)
    assert redis.lrange(keys.queue("default-high"), 0, -1) == [job.id.encode()]


def test_the_priority_is_default_if_none_is_said():
    assert enqueue("add", {"x": 1}).priority == "default"


def test_a_model_may_be_given_as_it_is(redis):
    job = enqueue("order", Order(**{"from": "Ada"}))

    assert JobReader(redis).read(job.id).type == "order"


def test_settings_and_connection_are_kept():
    enqueue("add", {"x": 1})

    with counted_round_trips() as sent:
        enqueue("add", {"x": 1})

    assert len(sent) == 1


def test_a_full_bucket_says_when_to_come_back():
    for _ in range(3):
        enqueue("add", {"x": 1})

    with pytest.raises(
        BucketFull, match=r"bucket 'default' is full: try again in 0.001 s"
    ) as raised:
        enqueue("add", {"x": 1})

    assert (raised.value.bucket, raised.value.retry_after) == ("default", 0.001)


def test_a_drained_bucket_says_so(redis):
    enqueue("add", {"x": 1})
    redis.hset(keys.bucket("default"), "draining", 1)

    with pytest.raises(BucketFull, match="is being drained and takes no new jobs") as raised:
        enqueue("add", {"x": 1})

    assert raised.value.retry_after == 60


@pytest.mark.parametrize(
    ("arguments", "options", "error"),
    [
        (("subtract",), {}, UnknownJobType),
        (("add",), {}, InvalidPayload),
        (("add", {"x": "many"}), {}, InvalidPayload),
        (("add", [1]), {}, InvalidPayload),
        (("add", {"x": 1}), {"priority": "urgent"}, ValueError),
    ],
)
def test_bad_input_is_refused(redis, arguments, options, error):
    with pytest.raises(error):
        enqueue(*arguments, **options)

    assert not redis.exists(keys.queue("default"))


@pytest.mark.parametrize("enqueue", [enqueue, enqueue_many])
def test_a_redis_url_that_cannot_be_used_is_told_by_the_name_of_the_argument(enqueue):
    told = r"^redis_url=\(hidden\) cannot be used: must begin with redis:// or .*//$"

    with pytest.raises(ValueError, match=told):
        enqueue("add", {"x": 1}, redis_url="localhost:6379")


def test_no_server_is_a_clear_error(monkeypatch):
    monkeypatch.delenv("REDIS_URL")

    with pytest.raises(NoServerError, match="set REDIS_URL"):
        enqueue("add", {"x": 1})


def test_a_server_that_is_away_is_an_error_and_works_later(monkeypatch, redis_url):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    with pytest.raises(RedisError):
        enqueue("add", {"x": 1})

    monkeypatch.setenv("REDIS_URL", redis_url)
    program_at.cache_clear()
    assert enqueue("add", {"x": 1}).position == 1


class TestMany:
    def test_what_fits_is_taken_in_and_the_rest_is_told_when_to_come_back(self, redis):
        jobs = enqueue_many("add", [{"x": number} for number in range(5)], priority="high")

        assert [job.position for job in jobs[:3]] == [1, 2, 3]  # the capacity
        assert redis.lrange(keys.queue("default-high"), 0, -1) == [j.id.encode() for j in jobs[:3]]
        assert [type(job) for job in jobs[3:]] == [BucketFull, BucketFull]
        assert jobs[3].retry_after > 0

    def test_a_call_is_repeated_with_its_key_for_what_was_left(self, redis):
        payloads = [{"x": number} for number in range(4)]
        first = enqueue_many("add", payloads, idempotency_key="k")
        redis.hset(keys.bucket("default"), "capacity", 10)

        again = enqueue_many("add", [*payloads[:2], {"x": 99}, payloads[3]], idempotency_key="k")

        assert [job.id for job in again[:2]] == [job.id for job in first[:2]]
        assert isinstance(first[3], BucketFull)
        assert isinstance(again[2], IdempotencyConflict)
        assert again[3].position == 4

    def test_all_payloads_are_checked_before_the_first_is_enqueued(self, redis):
        with pytest.raises(InvalidPayload) as caught:
            enqueue_many("add", [{"x": 1}, {"x": "many"}])

        assert [error["field"] for error in caught.value.errors] == ["1.x"]
        assert not redis.exists(keys.queue("default"))

    def test_one_script_takes_a_hundred(self, redis):
        enqueue("add", {"x": 0})
        redis.hset(keys.bucket("default"), "capacity", 1000)

        with counted_round_trips() as sent:
            jobs = enqueue_many("add", ({"x": number} for number in range(250)))

        assert len(sent) == 3
        assert jobs[-1].position == 251
        assert EnqueuedJob.refresh(jobs[-1]).position == 251
