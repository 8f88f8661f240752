"""Where jobs are in a queue from which some were cancelled, at the same cost whatever waits."""

import pytest
from redis import Redis
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.control import BucketControl
from spigot.jobs.bucket.metrics import BucketMetricsReader
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.job.listing import JobLister
from spigot.jobs.job.queue import BucketRefusal
from spigot.jobs.store import keys
from tests.support.clocked_bucket import ClockedBucket, work
from tests.support.round_trips import commands_done

QUEUE = keys.queue("default")
CLOSE = 32
"""Entries nearer than that to an end are taken out, as ``places.lua`` has it."""

CANCEL_COMMANDS = 60
"""Far more than a cancellation takes; far less than one for each entry of a queue."""


@pytest.fixture
def bucket(redis) -> ClockedBucket:
    return ClockedBucket(redis, "1000/s", capacity=100_000)


def fill(bucket: ClockedBucket, number: int, first: int = 0) -> list[str]:
    ids = [f"job-{n:05}" for n in range(first, first + number)]
    bucket.enqueue_all(ids)
    return ids


def survey(bucket: ClockedBucket) -> None:
    """Let idle workers look until there is nothing more to do."""
    while bucket.reap().more:
        pass


def waiting(redis: Redis) -> int:
    state = BucketReader(redis).read("default")
    (metrics,) = BucketMetricsReader(redis).read_all()
    assert state is not None
    assert state.waiting == metrics.waiting
    return state.waiting


def walks(redis: Redis) -> int:
    """Return how often a queue was looked through for a job."""
    return sum(
        redis.info("commandstats").get(f"cmdstat_{name}", {"calls": 0})["calls"]
        for name in ("lpos", "lrem")
    )


def positions(bucket: ClockedBucket, ids: list[str]) -> list[int | None]:
    return [job.position for job in bucket.reader.read_many(ids)]


class TestCancelling:
    @pytest.mark.parametrize("before", [10, 700])
    def test_costs_the_same_whatever_waits(self, counting_redis, before):
        redis = counting_redis
        bucket = ClockedBucket(redis, "1000/s", capacity=100_000)
        ids = fill(bucket, 2 * before)
        bucket.cancel(ids[before // 2])  # which loads the scripts
        bucket.read(ids[-1])
        redis.config_resetstat()

        done = commands_done(redis)
        bucket.cancel(ids[before])
        bucket.read(ids[before + 1])

        assert commands_done(redis) - done < CANCEL_COMMANDS + 2 * min(before, CLOSE)
        assert redis.info("commandstats").get("cmdstat_lpos") is None

    def test_of_many_leaves_the_others_known_without_a_walk(self, bucket, redis):
        ids = fill(bucket, 600)
        for job_id in ids[100:400]:
            bucket.cancel(job_id)
        redis.config_resetstat()

        assert positions(bucket, [ids[0], ids[99], ids[400], ids[599]]) == [1, 100, 101, 300]
        assert walks(redis) == 0

    @pytest.mark.parametrize("index", [0, 1, 31, 32, 60, 87, 98, 99])
    def test_anywhere_keeps_order_counts_and_positions(self, bucket, redis, index):
        ids = fill(bucket, 100)
        bucket.cancel(ids.pop(index))

        assert waiting(redis) == 99
        assert positions(bucket, ids) == list(range(1, 100))
        assert bucket.enqueue("last").position == 100
        assert [bucket.claim().job_id for _ in range(100)] == [*ids, "last"]

    def test_near_an_end_leaves_nothing_that_rq_would_count(self, bucket, redis):
        ids = fill(bucket, 2 * CLOSE)
        for job_id in ids[::2]:
            bucket.cancel(job_id)

        assert Queue("default", connection=redis).job_ids == ids[1::2]

    def test_makes_room(self, redis):
        bucket = ClockedBucket(redis, capacity=100)
        ids = fill(bucket, 100)
        assert isinstance(bucket.queue.enqueue("work", {"text": "a"}), BucketRefusal)

        for job_id in ids[40:60]:
            bucket.cancel(job_id)

        fill(bucket, 20, first=100)
        assert isinstance(bucket.queue.enqueue("work", {"text": "a"}), BucketRefusal)

    def test_of_plain_rqs_jobs_walks_once_for_many(self, bucket, redis):
        queue = Queue("default", connection=redis, serializer=JSONSerializer)
        ids = [queue.enqueue(work).id for _ in range(400)]
        redis.config_resetstat()

        assert positions(bucket, ids[150:200]) == list(range(151, 201))
        assert walks(redis) == 1
        survey(bucket)
        bucket.cancel(ids[300])
        assert positions(bucket, ids[301:]) == list(range(301, 400))
        assert walks(redis) == 1


class TestWhatOthersTakeOut:
    @pytest.fixture
    def ids(self, bucket) -> list[str]:
        ids = fill(bucket, 600)
        for job_id in ids[200:300]:
            bucket.cancel(job_id)
        return ids[:200] + ids[300:]

    def test_blank_entries_are_counted_anew(self, bucket, redis, ids):
        redis.lrem(QUEUE, 40, "")  # as RQ's Queue.jobs does

        survey(bucket)

        assert waiting(redis) == 500
        assert positions(bucket, ids) == list(range(1, 501))

    def test_all_blank_entries(self, bucket, redis, ids):
        redis.lrem(QUEUE, 0, "")
        survey(bucket)

        assert waiting(redis) == 500
        redis.config_resetstat()
        assert positions(bucket, ids) == list(range(1, 501))
        assert walks(redis) == 0

    def test_jobs_before_blank_entries(self, bucket, redis, ids):
        for job_id in ids[:150]:
            redis.lrem(QUEUE, 1, job_id)
        survey(bucket)

        redis.config_resetstat()
        assert positions(bucket, ids[150:]) == list(range(1, 351))
        assert walks(redis) == 0

    def test_the_whole_queue(self, bucket, redis, ids):
        redis.delete(QUEUE)
        survey(bucket)

        assert waiting(redis) == 0
        assert redis.exists(keys.blanks("default")) == 0
        assert bucket.enqueue("next").position == 1

    def test_what_its_compaction_moves(self, bucket, redis, ids):
        Queue("default", connection=redis).compact()
        survey(bucket)

        assert waiting(redis) == 500
        assert positions(bucket, ids) == list(range(1, 501))

    def test_and_nobody_surveyed_keeps_no_job_waiting(self, bucket, redis, ids):
        redis.lrem(QUEUE, 0, "")

        assert [bucket.claim().job_id for _ in range(500)] == ids


class TestClaims:
    def test_drop_a_hundred_entries_and_ask_again_at_once(self, bucket, redis):
        ids = fill(bucket, 400)
        for job_id in ids[40:300]:
            bucket.cancel(job_id)
        for job_id in ids[:40]:
            assert bucket.claim().job_id == job_id

        bucket.sleep(1)
        answers = [bucket.ask() for _ in range(3)]

        assert [type(answer) for answer in answers] == [Wait, Wait, Claim]
        assert max(answer.seconds for answer in answers[:2]) < 0.001
        assert answers[2].job_id == ids[300]

    def test_ring_for_another_in_case_they_do_not_come_back(self, bucket, redis):
        redis.rpush(QUEUE, *(f"nobody-{number}" for number in range(150)))

        assert isinstance(bucket.ask(), Wait)

        assert redis.llen(keys.wake_up("default")) == 1
        assert redis.llen(QUEUE) == 50

    def test_take_no_slot_for_what_they_drop(self, bucket, redis):
        redis.rpush(QUEUE, *(f"nobody-{number}" for number in range(150)))
        bucket.enqueue("job")

        bucket.ask()
        claim = bucket.ask()

        assert (claim.job_id, claim.slot_us) == ("job", bucket.now_us)

    def test_empty_a_paused_bucket_of_blank_entries(self, bucket, redis):
        ids = fill(bucket, 200)
        bucket.set(paused=True)
        for job_id in (*ids[50:150], *ids[:50], *ids[150:]):
            bucket.cancel(job_id)

        for _ in range(3):
            bucket.ask()

        assert redis.exists(QUEUE, keys.blanks("default")) == 0


class TestPurging:
    def test_leaves_lines_that_are_taken_up_one_look_after_the_other(self, bucket, redis):
        fill(bucket, 1000)
        assert BucketControl(redis, "ada").purge("default", keep_seconds=60) == 1000
        bucket.ask()  # the worker shows up

        looks = 0
        logged: set[str] = set()
        while len(logged) < 1000:
            found = bucket.reap()
            assert found.more or len(logged) + len(found.lines) == 1000
            logged |= set(found.lines)
            bucket.ask(logged=list(found.lines))
            looks += 1

        assert looks < 20
        assert redis.exists(keys.unlogged("default")) == 0

    def test_of_cancelled_entries_counts_the_jobs_alone(self, bucket, redis):
        ids = fill(bucket, 200)
        for job_id in ids[50:150]:
            bucket.cancel(job_id)

        assert BucketControl(redis, "ada").purge("default", keep_seconds=60) == 100
        assert redis.exists(QUEUE, keys.blanks("default")) == 0

    def test_ends_a_step_before_others_wait_for_the_server(self, bucket, redis, monkeypatch):
        monkeypatch.setattr("spigot.jobs.bucket.control.PURGED_AT_ONCE", 100_000)
        fill(bucket, 1500)
        redis.config_resetstat()

        assert BucketControl(redis, "ada").purge("default", keep_seconds=60) == 1500

        assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] > 3


class TestListing:
    def test_leaves_out_what_was_cancelled(self, bucket, redis):
        ids = fill(bucket, 200)
        for job_id in ids[50:150]:
            bucket.cancel(job_id)

        page = JobLister(redis).page(["queued"], ["default"], skip=40, limit=20)

        assert [job.id for job in page.jobs] == ids[40:50] + ids[150:160]
        assert page.total == 100

    def test_reads_a_far_page_in_small_parts(self, bucket, redis, monkeypatch):
        monkeypatch.setattr("spigot.jobs.job.listing.AT_ONCE", 7)
        monkeypatch.setattr("spigot.jobs.job.listing.MOST_BY_END", 20)  # a far page is beyond
        for queue in ("default", "default-high"):
            redis.zadd(f"rq:failed:{queue}", {f"{queue}-{n:03}": n for n in range(100)})
        lister = JobLister(redis)
        monkeypatch.setattr(lister, "_reader", AllThere())

        page = lister.page(["failed"], ["default"], skip=150, limit=4)

        assert page.total == 200
        assert page.jobs == [f"{q}-{n:03}" for n in (24, 23) for q in ("default-high", "default")]


class AllThere:
    """Reads a job as its id."""

    def read_many(self, ids):
        return ids
