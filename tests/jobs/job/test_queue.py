import json
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot import InvalidPayload, UnknownJobType
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.job.job_form import STORED_BYTES
from spigot.jobs.job.queue import BucketRefusal, IdempotencyKey, JobQueue, Repeated
from spigot.jobs.job.state import JobState
from spigot.jobs.store import keys
from spigot.jobs.store.times import minute_text
from spigot.runtime.log_ids import log_ids
from tests.support.minimal_app import NUMBERS
from tests.support.redis_content import content
from tests.support.round_trips import counted_round_trips

NOW_US = 1_767_225_600_123_456  # 2026-01-01T00:00:00.123456Z
DEFAULT = keys.bucket("default")
DEFAULT_QUEUE = keys.queue("default")


def fill(queue, number=3, now_us=NOW_US):
    return [queue.enqueue("add", {"x": x}, now_us=now_us).id for x in range(number)]


def test_an_option_that_no_job_has_is_refused(queue, redis):
    with pytest.raises(TypeError, match="no option delay"):
        queue.enqueue("add", {"x": 1}, delay=5)

    assert redis.keys("rq:*") == []


def test_a_job_is_taken_in(queue):
    job = queue.enqueue("add", {"x": 1}, "high", now_us=NOW_US)

    assert job == JobState(
        id=job.id,
        type="add",
        status="queued",
        bucket="default",
        priority="high",
        position=1,
        estimated_start_at="2026-01-01T00:00:00.123456Z",
        estimated_start_in=0,
        attempts=0,
        enqueued_at="2026-01-01T00:00:00.123456Z",
        started_at=None,
        ended_at=None,
        progress=None,
        result=None,
        error=None,
        revision=1,
    )


def test_an_id_has_128_random_bits(queue):
    ids = fill(queue)

    assert len(set(ids)) == 3
    assert all(len(bytes.fromhex(job_id)) == 16 for job_id in ids)


def test_the_clock_is_that_of_the_server(queue, redis):
    before = redis.time()
    job = queue.enqueue("add", {"x": 1})
    after = redis.time()

    enqueued_us = int(redis.hget(keys.job(job.id), "spigot_enqueued_us"))
    assert before <= divmod(enqueued_us, 1_000_000) <= after


@pytest.mark.parametrize("off_seconds", [0, -3600, 60, 3600])
def test_times_are_those_of_the_server_though_the_clock_here_is_off(
    queue, redis, monkeypatch, off_seconds
):
    minute = minute_text(NOW_US + off_seconds * 1_000_000)
    monkeypatch.setattr("spigot.jobs.job.queue.minute_text", lambda now_us: minute)

    job = queue.enqueue("add", {"x": 1}, now_us=NOW_US)

    text = b"2026-01-01T00:00:00.123456Z"
    assert redis.hmget(keys.job(job.id), "created_at", "enqueued_at") == [text, text]


def test_the_payload_is_kept_as_it_was_sent(queue, redis):
    job = queue.enqueue("add", {"x": 1})

    data = zlib.decompress(redis.hget(keys.job(job.id), "data"))
    assert json.loads(data)[3] == {"x": 1}


@pytest.mark.parametrize("length", [0, 1, 2, 200, 2000])
def test_whatever_its_length_a_call_is_kept_as_rq_reads_it(queue, redis, length):
    job = queue.enqueue("shout", {"text": "é" * length})

    assert Job.fetch(job.id, redis, JSONSerializer).kwargs == {"text": "é" * length}


def test_the_longest_call_that_is_not_compressed_leaves_a_hash_in_its_small_form(queue, redis):
    job = queue.enqueue("add", {"x": 1})
    data = redis.hget(keys.job(job.id), "data")

    assert (len(zlib.decompress(data)), len(data)) == (STORED_BYTES, 64)
    assert redis.object("encoding", keys.job(job.id)) == b"listpack"


@pytest.mark.parametrize(
    ("priority", "queue_name"),
    [("high", "default-high"), ("default", "default"), ("low", "default-low")],
)
def test_each_priority_has_its_queue(queue, redis, priority, queue_name):
    job = queue.enqueue("add", {"x": 1}, priority)

    assert redis.lrange(keys.queue(queue_name), 0, -1) == [job.id.encode()]
    assert redis.smembers("rq:queues") == {keys.queue(queue_name).encode()}


def test_jobs_leave_in_the_order_in_which_they_came(queue, redis):
    ids = fill(queue)

    assert [job_id.decode() for job_id in redis.lrange(keys.queue("default"), 0, -1)] == ids


def test_a_job_goes_to_the_bucket_of_its_type(queue, redis):
    queue.enqueue("shout", {"text": "hi"})

    assert redis.llen(keys.queue("narrow")) == 1


def test_enqueueing_is_one_round_trip(queue):
    fill(queue, 1)

    with counted_round_trips() as sent:
        queue.enqueue("add", {"x": 1})

    assert len(sent) == 1


def test_a_refusal_is_one_round_trip(queue):
    fill(queue)

    with counted_round_trips() as sent:
        queue.enqueue("add", {"x": 1})

    assert len(sent) == 1


KNOWN = IdempotencyKey("10.0.0.1 abc", "fingerprint")


@pytest.mark.parametrize("known", [(), (0,), (1,), (2,), (0, 2), (1, 2)])
def test_jobs_of_one_script_are_written_as_each_alone_would_be(queue, redis, known):
    queue.enqueue("order", {"from": "ada"}, idempotency=KNOWN, now_us=NOW_US)
    with log_ids(request_id="request"):
        jobs = [
            queue.accept("order", {"from": sender}, idempotency=KNOWN if number in known else None)
            for number, sender in enumerate(["ada", "grace " * 30, "joan"])
        ]
    expected = [replace(job, id=f"alone-{number}") for number, job in enumerate(jobs)]
    for number, job in enumerate(expected):
        if number not in known:
            queue.enqueue_many([job], now_us=NOW_US)
            redis.delete(DEFAULT_QUEUE)

    outcomes = queue.enqueue_many(jobs, now_us=NOW_US)

    assert [isinstance(outcome, Repeated) for outcome in outcomes] == [
        number in known for number in range(3)
    ]
    for number, (job, alone) in enumerate(zip(jobs, expected, strict=True)):
        fields, fields_alone = redis.hgetall(keys.job(job.id)), redis.hgetall(keys.job(alone.id))
        places = fields.pop(b"spigot_place", None), fields_alone.pop(b"spigot_place", None)
        assert fields == fields_alone
        assert bool(fields) is (None not in places) is (number not in known)


class TestFull:
    def test_takes_no_more_than_its_capacity_over_all_priorities(self, queue, redis):
        for priority in ("high", "default", "low"):
            queue.enqueue("add", {"x": 1}, priority, now_us=NOW_US)
        before = content(redis)

        refused = queue.enqueue("add", {"x": 1}, "high", now_us=NOW_US)

        assert refused == BucketRefusal("default", draining=False, retry_after_ms=1)
        assert str(refused) == "bucket 'default' is full"
        assert content(redis) == before

    def test_does_not_refuse_other_buckets(self, queue):
        fill(queue)

        assert isinstance(queue.enqueue("shout", {"text": "hi"}), JobState)

    @pytest.mark.parametrize(
        ("fields", "too_many", "retry_after_ms"),
        [
            ({}, 0, 1),  # an idle bucket leaks at once
            ({"last_slot_us": NOW_US}, 0, 100),
            ({"last_slot_us": NOW_US - 60_000}, 0, 40),
            ({"last_slot_us": NOW_US - 60_001}, 0, 40),  # rounded up
            ({"last_slot_us": NOW_US + 50_000}, 0, 150),  # that job was claimed ahead of its slot
            ({"last_slot_us": NOW_US + 9_000_000}, 0, 150),  # the clock was set back
            ({"last_slot_us": NOW_US}, 2, 300),  # retries came back over the capacity
            ({"held_until_us": NOW_US + 7_000_000}, 0, 7000),
            ({"held_until_us": NOW_US + 7_000_000}, 1, 7100),
            ({"paused": 1}, 0, 60_000),
            ({"paused": 1, "held_until_us": NOW_US + 7_000_000}, 0, 7000),
            ({"paused": 1, "held_until_us": NOW_US + 1}, 0, 1),
            ({"paused": 1, "held_until_us": NOW_US - 1}, 0, 60_000),
        ],
    )
    def test_says_when_a_place_is_free(self, queue, redis, fields, too_many, retry_after_ms):
        fill(queue)
        redis.hset(DEFAULT, mapping={"capacity": 3 - too_many, **fields})

        refused = queue.enqueue("add", {"x": 1}, now_us=NOW_US)

        assert refused == BucketRefusal("default", draining=False, retry_after_ms=retry_after_ms)

    def test_tells_the_truth_about_it(self, queue, redis):
        fill(queue)
        bucket = LeakyBucket(redis, "default")
        bucket.claim("w", "t1", lease_ms=1000, now_us=NOW_US)
        fill(queue, 1)
        wait_ms = queue.enqueue("add", {"x": 1}, now_us=NOW_US).retry_after_ms

        bucket.claim("w", "t2", lease_ms=1000, now_us=NOW_US + wait_ms * 1000)

        assert wait_ms == 100
        assert isinstance(queue.enqueue("add", {"x": 1}), JobState)

    def test_takes_jobs_again_when_one_left(self, queue, redis):
        fill(queue)
        redis.lpop(keys.queue("default"))

        assert isinstance(queue.enqueue("add", {"x": 1}), JobState)

    def test_a_race_for_the_last_place_has_one_winner(self, redis_url, redis, catalog, queue):
        fill(queue, 2)

        def enqueue(number):
            with Redis.from_url(redis_url) as own:
                return JobQueue(own, catalog, NUMBERS, keep_seconds=60).enqueue("add", {"x": 1})

        with ThreadPoolExecutor(8) as pool:
            outcomes = list(pool.map(enqueue, range(24)))

        assert sum(isinstance(outcome, JobState) for outcome in outcomes) == 1
        assert redis.llen(keys.queue("default")) == 3


class TestDraining:
    @pytest.mark.parametrize(
        ("held_until_us", "retry_after_ms"), [(0, 60_000), (NOW_US + 1_500_001, 1501)]
    )
    def test_takes_no_job_though_it_is_empty(self, queue, redis, held_until_us, retry_after_ms):
        redis.hset(DEFAULT, mapping={"draining": 1, "held_until_us": held_until_us})
        before = content(redis)

        refused = queue.enqueue("add", {"x": 1}, now_us=NOW_US)

        assert refused == BucketRefusal("default", draining=True, retry_after_ms=retry_after_ms)
        assert str(refused) == "bucket 'default' is being drained and takes no new jobs"
        assert content(redis) == before


class TestTheSameId:
    def test_changes_nothing(self, queue, redis):
        first = queue.enqueue("add", {"x": 1}, job_id="mine", now_us=NOW_US)
        before = content(redis)

        again = queue.enqueue("add", {"x": 99}, "high", job_id="mine", now_us=NOW_US)

        assert again == first
        assert content(redis) == before

    def test_finds_the_job_though_the_bucket_is_full(self, queue):
        first = queue.enqueue("add", {"x": 1}, job_id="mine", now_us=NOW_US)
        fill(queue, 2)

        assert queue.enqueue("add", {"x": 1}, job_id="mine", now_us=NOW_US) == first

    def test_does_not_run_a_started_job_again(self, queue, redis):
        queue.enqueue("add", {"x": 1}, job_id="mine", now_us=NOW_US)
        LeakyBucket(redis, "default").claim("w", "t1", lease_ms=1000, now_us=NOW_US)
        before = content(redis)

        again = queue.enqueue("add", {"x": 1}, job_id="mine", now_us=NOW_US)

        assert (again.status, again.attempts) == ("started", 1)
        assert content(redis) == before


class TestIdempotencyKey:
    KEY = IdempotencyKey("10.0.0.1 abc", "fingerprint")

    def test_finds_the_first_job_and_enqueues_nothing(self, queue, redis):
        first = queue.enqueue("add", {"x": 1}, idempotency=self.KEY, now_us=NOW_US)
        before = content(redis)

        again = queue.enqueue("add", {"x": 1}, idempotency=self.KEY)
        assert isinstance(again, Repeated)
        assert again.job.id == first.id
        assert content(redis) == before

    def test_refuses_another_body(self, queue, redis):
        queue.enqueue("add", {"x": 1}, idempotency=self.KEY, now_us=NOW_US)
        before = content(redis)

        other = IdempotencyKey(self.KEY.name, "another")

        assert queue.enqueue("add", {"x": 2}, idempotency=other) == Repeated(None)
        assert content(redis) == before

    def test_is_kept_as_long_as_ended_jobs(self, queue, redis):
        queue.enqueue("add", {"x": 1}, idempotency=self.KEY)

        assert 598 <= redis.ttl(keys.idempotency(self.KEY.name)) <= 600

    def test_is_not_spent_by_a_refusal(self, queue, redis):
        fill(queue)

        assert isinstance(queue.enqueue("add", {"x": 1}, idempotency=self.KEY), BucketRefusal)
        assert not redis.exists(keys.idempotency(self.KEY.name))

    def test_of_another_client_is_another_key(self, queue):
        queue.enqueue("add", {"x": 1}, idempotency=self.KEY)

        other = IdempotencyKey("10.0.0.2 abc", "fingerprint")

        assert isinstance(queue.enqueue("add", {"x": 1}, idempotency=other), JobState)


class TestAnEmptiedServer:
    def test_gets_the_numbers_of_all_buckets_again(self, queue, redis):
        redis.flushall()

        job = queue.enqueue("add", {"x": 1})

        assert job.position == 1
        assert redis.hget(DEFAULT, "capacity") == b"3"
        assert redis.hget(keys.bucket("narrow"), "rate") == b"60/m burst 3"

    def test_refuses_at_the_published_capacity(self, queue, redis):
        redis.flushall()
        fill(queue, 3, None)

        assert isinstance(queue.enqueue("add", {"x": 1}), BucketRefusal)

    def test_a_bucket_without_numbers_is_a_fault(self, redis, catalog):
        with pytest.raises(RuntimeError, match="bucket 'default' has no numbers"):
            JobQueue(redis, catalog, {}, keep_seconds=60).enqueue("add", {"x": 1})

        assert content(redis) == {}


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("subtract", {"x": 1}), UnknownJobType),
        (("", {"x": 1}), UnknownJobType),
        (("add", {"x": "many"}), InvalidPayload),
        (("add", {}), InvalidPayload),
        (("add", None), InvalidPayload),
        (("add", {"x": 1}, "urgent"), ValueError),
        (("add", {"x": 1}, ""), ValueError),
    ],
)
def test_bad_input_changes_nothing(queue, redis, arguments, error):
    before = content(redis)

    with counted_round_trips() as sent, pytest.raises(error):
        queue.enqueue(*arguments)

    assert sent == []
    assert content(redis) == before


class TestWhatWorkersAreTold:
    def test_the_first_waiting_job_rings_the_bell_once(self, queue, redis):
        redis.delete(keys.wake_up("default"))

        fill(queue, 2)

        assert redis.lrange(keys.wake_up("default"), 0, -1) == [b"1"]

    def test_a_job_behind_others_wakes_nobody(self, queue, redis):
        fill(queue, 1)
        redis.delete(keys.wake_up("default"))

        fill(queue, 1)

        assert redis.llen(keys.wake_up("default")) == 0

    def test_listeners_hear_of_the_job(self, queue, redis):
        with redis.pubsub(ignore_subscribe_messages=True) as listener:
            listener.subscribe(keys.job_events())
            listener.get_message(timeout=5)
            job = queue.enqueue("add", {"x": 1})

            message = listener.get_message(timeout=5)

        assert message["data"] == job.id.encode()
        assert redis.hget(keys.job(job.id), "spigot_revision") == b"1"
