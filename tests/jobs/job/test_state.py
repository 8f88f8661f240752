import base64
import json
import zlib
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.job.state import JobReader, utc_text
from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from tests.support.leak_model import CLAIM_AHEAD_US
from tests.support.redis_content import content
from tests.support.round_trips import counted_round_trips
from tests.support.running_attempts import run_for

NOW_US = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
DEFAULT = keys.bucket("default")


@pytest.fixture
def reader(redis):
    redis.config_resetstat()
    return JobReader(redis)


@pytest.fixture
def roomy(queue, redis):
    """The sample's queue, with room for more jobs than the other tests need."""
    redis.hset(DEFAULT, "capacity", 1000)
    return queue


def add(queue, priority="default", now_us=NOW_US):
    return queue.enqueue("add", {"x": 1}, priority, now_us=now_us).id


def claim(redis, token="token", now_us=NOW_US):
    return LeakyBucket(redis, "default").claim("worker", token, lease_ms=60_000, now_us=now_us)


def walks_over_the_queue(redis):
    """How often the server had to look through a whole queue."""
    return redis.info("commandstats").get("cmdstat_lpos", {"calls": 0})["calls"]


def seconds_until_start(reader, job_id, now_us=NOW_US):
    return reader.read(job_id, now_us=now_us).estimated_start_in


def test_a_job_that_never_was_is_none(reader):
    assert reader.read("0" * 32) is None


@pytest.mark.parametrize("job_id", ["", "a:dependents", "a b", "../x", "\x00", "ä", "x\n"])
def test_what_is_no_id_is_not_looked_up(reader, job_id):
    with counted_round_trips() as sent:
        assert reader.read(job_id) is None

    assert sent == []


def test_a_job_without_its_work_is_none(reader, redis):
    redis.hset(keys.job("husk"), "status", "started")

    assert reader.read("husk") is None


def test_reading_is_one_round_trip_and_changes_nothing(roomy, reader, redis):
    job_id = add(roomy)
    reader.read(job_id)
    before = content(redis)

    with counted_round_trips() as sent:
        reader.read(job_id)

    assert len(sent) == 1
    assert content(redis) == before


def test_reading_costs_the_same_with_100000_waiting(redis, queue, reader):
    """Commands are counted, and no one that walks the queue; times would tell less."""
    redis.hset(DEFAULT, "capacity", 1_000_000)
    cost = {}
    for waiting in (10, 100_000):
        redis.delete(keys.queue("default"))
        redis.rpush(keys.queue("default"), *(f"job-{number}" for number in range(waiting - 1)))
        job_id = add(queue)
        reader.read(job_id, now_us=NOW_US)  # loads the script
        redis.config_resetstat()
        assert reader.read(job_id, now_us=NOW_US).position == waiting
        cost[waiting] = {name: stats["calls"] for name, stats in redis.info("commandstats").items()}

    assert cost[100_000] == cost[10]
    assert "cmdstat_lpos" not in cost[100_000]


def test_reading_says_the_same_as_enqueueing(roomy, reader):
    job = roomy.enqueue("add", {"x": 1}, now_us=NOW_US)

    assert reader.read(job.id, now_us=NOW_US) == job


class TestPosition:
    def test_counts_from_the_next_to_leave(self, roomy, reader):
        ids = [add(roomy) for _ in range(3)]

        assert [reader.read(job_id).position for job_id in ids] == [1, 2, 3]

    def test_puts_urgent_jobs_first(self, roomy, reader):
        low, default, high = add(roomy, "low"), add(roomy), add(roomy, "high")
        second_low, second_high = add(roomy, "low"), add(roomy, "high")

        order = [high, second_high, default, low, second_low]
        assert [reader.read(job_id).position for job_id in order] == [1, 2, 3, 4, 5]

    def test_of_a_low_job_is_behind_all_others(self, roomy, reader):
        add(roomy, "high")
        add(roomy)
        add(roomy)

        assert reader.read(add(roomy, "low")).position == 4

    def test_moves_up_when_a_job_leaves(self, roomy, reader, redis):
        add(roomy)
        second, third = add(roomy), add(roomy)

        claim(redis)

        assert [reader.read(job_id).position for job_id in (second, third)] == [1, 2]

    @pytest.mark.parametrize("left", [0, 5])
    @pytest.mark.parametrize(("gone", "walks"), [(1, 0), (100, 0), (101, 1), (250, 1)])
    def test_is_found_wherever_cancelled_jobs_left_it(
        self, roomy, reader, redis, left, gone, walks
    ):
        for number in range(left):
            add(roomy)
            claim(redis, f"token-{number}", NOW_US + number * 100_000)
        for _ in range(gone):
            add(roomy)
        job_id = add(roomy)
        redis.ltrim(keys.queue("default"), gone, -1)

        assert reader.read(job_id).position == 1
        assert walks_over_the_queue(redis) == walks

    @pytest.mark.parametrize(("before", "walks"), [(0, 0), (1, 0), (100, 0), (101, 1)])
    def test_is_found_wherever_jobs_before_it_moved_it(self, roomy, reader, redis, before, walks):
        for _ in range(120):
            add(roomy)
        job_id = add(roomy)
        for number in range(5):
            claim(redis, f"token-{number}", NOW_US + number * 100_000)
        redis.lpush(keys.queue("default"), *range(before), "first")
        redis.lpop(keys.queue("default"))

        assert reader.read(job_id).position == 116 + before
        assert walks_over_the_queue(redis) == walks

    @pytest.mark.parametrize(
        ("place", "before", "walks"), [(-100, 0, 0), (-101, 0, 1), (-101, 5, 1), (-500, 5, 1)]
    )
    def test_of_a_job_with_an_old_place_is_not_looked_for_there(
        self, roomy, reader, redis, place, before, walks
    ):
        for _ in range(before):
            add(roomy)
        job_id = add(roomy)
        redis.hset(keys.job(job_id), "spigot_place", place)

        assert reader.read(job_id).position == before + 1
        assert walks_over_the_queue(redis) == walks

    def test_of_a_job_that_plain_rq_enqueued(self, roomy, reader, redis):
        add(roomy)
        plain = Queue("default", connection=redis, serializer=JSONSerializer).enqueue("os.getpid")

        job = reader.read(plain.id)

        assert (job.position, job.type, job.bucket, job.priority) == (
            2,
            "os.getpid",
            "default",
            "default",
        )

    def test_of_a_job_in_a_queue_without_bucket(self, reader, redis):
        plain = Queue("Other.Queue", connection=redis, serializer=JSONSerializer).enqueue("f.g")

        job = reader.read(plain.id)

        assert (job.bucket, job.priority, job.position) == ("Other.Queue", "default", 1)
        assert job.estimated_start_at is None

    def test_is_none_once_the_job_is_claimed(self, roomy, reader, redis):
        job_id = add(roomy)
        claim(redis)

        job = reader.read(job_id, now_us=NOW_US)

        assert (job.status, job.position, job.attempts) == ("started", None, 1)
        assert (job.estimated_start_at, job.estimated_start_in) == (None, None)
        assert job.started_at == "2026-01-01T00:00:00.000000Z"

    def test_is_not_looked_for_once_the_job_is_claimed(self, roomy, reader, redis):
        job_id = add(roomy)
        claim(redis)

        reader.read(job_id)

        assert walks_over_the_queue(redis) == 0

    def test_is_none_for_a_job_that_is_in_no_queue(self, roomy, reader, redis):
        job_id = add(roomy)
        redis.delete(keys.queue("default"))

        job = reader.read(job_id)

        assert (job.position, job.estimated_start_at) == (None, None)


class TestEstimatedStart:
    def test_is_the_slot_of_the_position(self, roomy, reader):
        ids = [add(roomy) for _ in range(4)]

        assert [seconds_until_start(reader, job_id) for job_id in ids] == [0, 0.1, 0.2, 0.3]

    def test_counts_from_the_last_slot(self, roomy, reader, redis):
        first, second = add(roomy), add(roomy)
        redis.hset(DEFAULT, "last_slot_us", NOW_US - 30_000)

        assert seconds_until_start(reader, first) == 0.07
        assert seconds_until_start(reader, second) == 0.17

    def test_counts_from_a_slot_that_was_claimed_ahead(self, roomy, reader, redis):
        add(roomy)
        add(roomy)
        claim(redis, "one", NOW_US)
        claim(redis, "two", NOW_US + 100_000 - CLAIM_AHEAD_US)
        third = add(roomy)

        now_us = NOW_US + 100_000 - CLAIM_AHEAD_US
        assert seconds_until_start(reader, third, now_us) == (100_000 + CLAIM_AHEAD_US) / 1_000_000

    def test_is_told_as_time_too(self, roomy, reader):
        add(roomy)
        job = reader.read(add(roomy), now_us=NOW_US)

        assert job.estimated_start_at == "2026-01-01T00:00:00.100000Z"

    def test_spends_the_burst_first(self, queue, reader):
        ids = [queue.enqueue("shout", {"text": "a"}, now_us=NOW_US).id for _ in range(2)]

        assert [seconds_until_start(reader, job_id) for job_id in ids] == [0, 0]

    def test_is_unknown_while_the_bucket_is_paused(self, roomy, reader, redis):
        job_id = add(roomy)
        redis.hset(DEFAULT, "paused", 1)

        job = reader.read(job_id, now_us=NOW_US)

        assert (job.position, job.estimated_start_at, job.estimated_start_in) == (1, None, None)

    def test_is_unknown_while_the_bucket_has_no_numbers(self, roomy, reader, redis):
        job_id = add(roomy)
        redis.delete(DEFAULT)

        job = reader.read(job_id, now_us=NOW_US)

        assert (job.position, job.estimated_start_at) == (1, None)

    def test_waits_for_the_downstream(self, roomy, reader, redis):
        first, second = add(roomy), add(roomy)
        redis.hset(DEFAULT, "held_until_us", NOW_US + 5_000_000)

        assert seconds_until_start(reader, first) == 5
        assert seconds_until_start(reader, second) == 5.1

    @pytest.mark.parametrize(
        ("workers", "running", "max_running", "position", "expected"),
        [
            # a job takes 4 s, so that the workers are the narrower place
            (1, 1, 0, 1, 4),  # the one worker must first end what it runs
            (1, 0, 0, 1, 0),
            (1, 0, 0, 2, 4),
            (2, 2, 0, 1, 2),
            (2, 1, 0, 3, 4),
            (8, 8, 0, 4, 2),
            (8, 2, 2, 1, 2),  # no more than two may run
            (8, 1, 1, 1, 4),
            (2, 2, 8, 1, 2),
            (3, 3, 0, 1, 1.333334),  # rounded up
            (0, 0, 0, 3, 0.2),  # none is there yet: what the rate allows
            (50, 0, 0, 3, 0.2),  # the rate is narrower
        ],
    )
    def test_is_what_the_workers_allow(
        self, roomy, reader, redis, workers, running, max_running, position, expected
    ):
        job_id = [add(roomy) for _ in range(position)][-1]
        redis.hset(DEFAULT, mapping={"mean_run_us": 4_000_000, "max_running": max_running})
        for number in range(workers):
            redis.zadd(keys.workers("default"), {f"w{number}": NOW_US // 1000})
        redis.zadd(keys.workers("default"), {"dead": NOW_US // 1000 - 1})
        for number in range(running):
            redis.zadd(keys.leases("default"), {f"lease-{number}": NOW_US // 1000})

        assert seconds_until_start(reader, job_id) == expected

    @pytest.mark.parametrize(
        ("mean", "workers", "taken", "position", "expected"),
        [
            (4, 1, [3], 1, 4),  # it may end as the others did
            (4, 1, [40], 1, 40),  # as long again
            (4, 1, [40], 2, 48),  # and then one of 8 s: of (8 ends of 4 s and one of 40) / 9
            (4, 2, [40, 40], 1, 34.4),  # two places have 40 s each to go, less one job of 11.2 s
            (4, 2, [44, 44], 3, 50),  # 44 s, and the third on two places of 12 s each
            (4, 2, [60, 1], 1, 4),  # the other place carries a job each 4 s
            (4, 2, [60, 1], 40, 108),  # and after a minute both do
            (
                4,
                2,
                [49],
                3,
                18,
            ),  # so does a free one, but the only job that runs took 49 s: 9 s each
            (4, 2, [60, -1], 1, 4),  # one that was claimed for a slot to come
            (0, 1, [60], 1, 60),  # no job has ended yet
            (0, 2, [60], 2, 30),
            (0, 2, [60, 60], 2, 60),
            (4, 40, [60] * 40, 1, 10.600001),  # those that are looked at stand for all
            (4, 80, [1] * 80, 1, 0.05),
        ],
    )
    def test_is_never_less_than_what_running_jobs_show(
        self, roomy, reader, redis, mean, workers, taken, position, expected
    ):
        job_id = [add(roomy) for _ in range(position)][-1]
        redis.hset(DEFAULT, "mean_run_us", mean * 1_000_000)
        run_for(redis, workers, taken, NOW_US)

        assert seconds_until_start(reader, job_id) == expected

    def test_counts_no_more_places_than_may_be_taken(self, roomy, reader, redis):
        job_id = add(roomy)
        redis.hset(DEFAULT, mapping={"mean_run_us": 4_000_000, "max_running": 1})
        run_for(redis, 8, [40], NOW_US)

        assert seconds_until_start(reader, job_id) == 40

    def test_goes_by_past_jobs_in_the_answer_to_a_new_one(self, roomy, redis):
        redis.hset(DEFAULT, "mean_run_us", 4_000_000)
        run_for(redis, 1, [60], NOW_US)

        job = roomy.enqueue("add", {"x": 1}, now_us=NOW_US)

        assert job.estimated_start_in == 4

    def test_costs_no_more_where_hundreds_run(self, roomy, reader, redis):
        job_id = add(roomy)
        run_for(redis, 300, [60] * 300, NOW_US)
        redis.config_resetstat()

        reader.read(job_id, now_us=NOW_US)

        assert redis.info("commandstats")["cmdstat_hget"]["calls"] < 20

    def test_of_a_delayed_job_is_the_time_it_waits_for(self, roomy, reader, redis):
        job_id = add(roomy)
        redis.delete(keys.queue("default"))
        redis.hset(
            keys.job(job_id), mapping={"status": "scheduled", "spigot_due_us": NOW_US + 2_500_000}
        )

        job = reader.read(job_id, now_us=NOW_US)

        assert (job.status, job.position, job.estimated_start_in) == ("delayed", None, 2.5)
        assert job.estimated_start_at == "2026-01-01T00:00:02.500000Z"

    def test_of_a_job_that_plain_rq_scheduled_is_its_time(self, roomy, reader, redis):
        queue = Queue("default", connection=redis, serializer=JSONSerializer)
        job = queue.enqueue_at(datetime.fromtimestamp(NOW_US // 10**6 + 90, UTC), print)

        state = reader.read(job.id, now_us=NOW_US)

        assert (state.status, state.estimated_start_in) == ("delayed", 90)

    def test_is_never_negative(self, roomy, reader, redis):
        job_id = add(roomy)
        redis.hset(keys.job(job_id), mapping={"status": "scheduled", "spigot_due_us": NOW_US - 1})

        assert seconds_until_start(reader, job_id) == 0


class TestAnEndedJob:
    @pytest.fixture
    def end(self, roomy, redis):
        """Return a function that ends a job as a worker would, and gives its id."""

        def end_job(status, result=None, **fields):
            job_id = add(roomy)
            claim(redis)
            ended_at = "2026-01-01T00:00:01.000000Z"
            redis.hset(keys.job(job_id), mapping={"status": status, "ended_at": ended_at, **fields})
            if result:
                redis.xadd(keys.results(job_id), {"type": 4, "exc_string": "an earlier attempt"})
                redis.xadd(keys.results(job_id), result)
            return job_id

        return end_job

    def test_shows_its_result(self, reader, end):
        returned = base64.b64encode(json.dumps({"pages": 3}).encode())

        job = reader.read(end("finished", {"type": 1, "return_value": returned}))

        assert (job.status, job.result, job.error, job.ended) == (
            "finished",
            {"pages": 3},
            None,
            True,
        )
        assert job.ended_at == "2026-01-01T00:00:01.000000Z"
        assert (job.position, job.estimated_start_at) == (None, None)

    def test_shows_no_result_if_it_returned_none(self, reader, end):
        assert reader.read(end("finished", {"type": 1})).result is None

    def test_shows_no_result_after_it_expired(self, reader, end):
        assert reader.read(end("finished")).result is None

    def test_shows_no_result_of_another_kind(self, reader, end):
        returned = base64.b64encode(b"1")

        assert reader.read(end("finished", {"type": 2, "return_value": returned})).result is None

    def test_shows_its_error(self, reader, end):
        job = reader.read(end("failed", spigot_error="ValueError: no such document"))

        assert (job.status, job.error, job.result) == (
            "failed",
            "ValueError: no such document",
            None,
        )

    def test_shows_the_last_line_of_rqs_traceback(self, reader, end):
        trace = zlib.compress(b"Traceback:\n  File x\nKeyError: 'a'\n")
        result = {"type": 2, "exc_string": base64.b64encode(trace)}

        assert reader.read(end("failed", result)).error == "KeyError: 'a'"

    def test_has_no_error_if_none_was_kept(self, reader, end):
        assert reader.read(end("failed")).error is None

    def test_may_be_cancelled(self, reader, end):
        job = reader.read(end("canceled", spigot_error="cancelled by the client"))

        assert (job.status, job.error, job.ended) == ("cancelled", "cancelled by the client", True)

    def test_forgets_the_error_of_an_earlier_attempt(self, reader, end):
        assert reader.read(end("finished", spigot_error="an earlier attempt")).error is None


def test_progress_is_shown(roomy, reader, redis):
    job_id = add(roomy)
    redis.hset(keys.job(job_id), "spigot_progress", '{"done": 3, "total": 10, "note": "parsing"}')

    assert reader.read(job_id).progress == {"done": 3, "total": 10, "note": "parsing"}


def test_a_job_that_waits_again_shows_no_times_of_its_first_attempt(roomy, reader, redis):
    job_id = add(roomy)
    claim(redis)
    redis.hset(keys.job(job_id), mapping={"status": "queued", "ended_at": "2026-01-01T00:00:01Z"})

    job = reader.read(job_id)

    assert (job.started_at, job.ended_at, job.attempts, job.ended) == (None, None, 1, False)


def test_the_json_is_that_of_the_interface(roomy):
    assert list(roomy.enqueue("add", {"x": 1}).to_json()) == [
        "id",
        "type",
        "status",
        "bucket",
        "priority",
        "position",
        "estimated_start_at",
        "estimated_start_in",
        "attempts",
        "enqueued_at",
        "started_at",
        "ended_at",
        "progress",
        "result",
        "error",
    ]


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_microseconds_become_rfc_3339(moment):
    us = round(moment.replace(tzinfo=UTC, microsecond=0).timestamp()) * 1_000_000
    us += moment.microsecond

    assert utc_text(us) == moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))
def test_the_scripts_write_times_as_rq_does(roomy, redis, moment):
    us = round(moment.replace(tzinfo=UTC, microsecond=0).timestamp()) * 1_000_000
    us += moment.microsecond
    redis.delete(keys.queue("default"))

    assert roomy.enqueue("add", {"x": 1}, now_us=us).enqueued_at == utc_text(us)


def test_the_payload_of_a_job_with_a_type_is_not_read(redis):
    fields = {"data": b"x" * 100_000, "spigot_type": "mail", "status": "started"}
    redis.hset(keys.job("one"), mapping=fields)

    reply = load_script(redis, "spigot.jobs.job", "read_job.lua")(args=["one", ""])

    assert b"data" not in reply[4]
    assert b"mail" in reply[4]
