"""One job per slot, slots on the server's clock: stories with the time told to the scripts."""

from itertools import pairwise

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import SLEEP_SECONDS, Claim, UnpublishedBucketError, Wait
from spigot.jobs.bucket.leaky_bucket import ALIVE_SECONDS, LeakyBucket
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from spigot.jobs.store.times import utc_text
from spigot.worker.leases.attempt_report import AttemptReport
from tests.support.clocked_bucket import SECOND_US, START_US, WORKER, ClockedBucket
from tests.support.leak_model import CLAIM_AHEAD_US
from tests.support.round_trips import counted_round_trips

BUCKET = keys.bucket("default")


def fill(bucket: ClockedBucket, count: int = 30) -> None:
    for number in range(count):
        bucket.enqueue(f"job-{number:03}")


def tell(bucket: ClockedBucket, story: list[tuple]) -> None:
    """Play a story: at a time, something is said (a dict), or what a worker that asks is told."""
    for at_ms, event in story:
        bucket.now_us = START_US + round(at_ms * 1000)
        if isinstance(event, dict):
            bucket.set(**event)
            continue
        answer = bucket.ask()
        word, value = event
        if word == "slot":
            assert isinstance(answer, Claim), (at_ms, answer)
            assert answer.slot_us - START_US == round(value * 1000), at_ms
            assert answer.wait_us == max(0, round((value - at_ms) * 1000)), at_ms
        else:
            assert isinstance(answer, Wait), (at_ms, answer)
            assert answer.exact is (word == "wait"), at_ms
            assert answer.seconds * 1000 == pytest.approx(value, abs=1.001), at_ms


STORIES = {
    "an idle bucket leaks at once, and then one job per interval": [
        (0, ("slot", 0)),
        (0, ("wait", 50)),  # comes back a claim-ahead before the slot
        (49, ("wait", 1)),
        (50, ("slot", 100)),
        (50, ("wait", 100)),
        (151, ("slot", 200)),
    ],
    "a worker that comes late costs its slot and no more": [
        (0, ("slot", 0)),
        (130, ("slot", 130)),
        (180, ("slot", 230)),
    ],
    "an idle bucket saves up no burst": [
        (0, ("slot", 0)),
        (10_000, ("slot", 10_000)),
        (10_000, ("wait", 50)),
        (10_050, ("slot", 10_100)),
    ],
    "a burst is saved up, and is not exceeded": [
        (0, {"rate": "10/s burst 3"}),
        (0, ("slot", 0)),
        (0, ("slot", 0)),
        (0, ("slot", 0)),
        (0, ("wait", 50)),
        (50, ("slot", 100)),
        (160, ("slot", 200)),
        (360, ("slot", 360)),  # 1.6 intervals saved up, less this one
        (360, ("slot", 400)),
        (400, ("wait", 50)),
        (9_000, ("slot", 9_000)),
        (9_000, ("slot", 9_000)),
        (9_000, ("slot", 9_000)),
        (9_000, ("wait", 50)),
    ],
    "a faster rate counts from the next leak on": [
        (0, {"rate": "1/h"}),
        (0, ("slot", 0)),
        (1000, ("wait", 30_000)),  # a worker looks each 30 s at least
        (2000, {"rate": "10/s"}),
        (2000, ("slot", 2000)),
        (2060, ("slot", 2100)),
    ],
    "a slower rate counts from the next leak on": [
        (0, ("slot", 0)),
        (60, ("slot", 100)),
        (70, {"rate": "1/s"}),
        (140, ("wait", 910)),
        (1060, ("slot", 1100)),
    ],
    "a smaller burst counts at once": [
        (0, {"rate": "10/s burst 5"}),
        (0, ("slot", 0)),
        (0, ("slot", 0)),
        (0, ("slot", 0)),
        (0, {"rate": "10/s"}),
        (0, ("wait", 50)),
        (60, ("slot", 100)),
    ],
    "a new rate keeps what is left of the burst": [
        (0, {"rate": "10/s burst 3"}),
        (0, ("slot", 0)),
        (0, ("slot", 0)),
        (0, {"rate": "1/s burst 3"}),
        (0, ("slot", 0)),
        (0, ("wait", 950)),
        (960, ("slot", 1000)),
        (960, {"rate": "10/s burst 3"}),
        (1010, ("wait", 40)),
        (1050, ("slot", 1100)),
    ],
    "nothing leaves while paused, and no burst is saved up by that": [
        (0, ("slot", 0)),
        (10, {"paused": True}),
        (500, ("poll", 800)),
        (5000, {"paused": False}),
        (5000, ("slot", 5000)),
        (5000, ("wait", 50)),
    ],
    "a clock that is set back stops nothing": [
        (0, ("slot", 0)),
        (60, ("slot", 100)),
        (-3_600_000, ("wait", 100)),  # the last slot may be as near as any claim can be
        (-3_599_900, ("slot", -3_599_850)),
        (-3_599_900, ("wait", 100)),
    ],
    "a clock that is set back a little brings no slots closer": [
        (0, ("slot", 0)),
        (60, ("slot", 100)),
        (80, ("wait", 70)),
        (70, ("wait", 80)),
        (150, ("slot", 200)),
    ],
    "a clock that is set forward saves up no burst": [
        (0, ("slot", 0)),
        (3_600_000, ("slot", 3_600_000)),
        (3_600_000, ("wait", 50)),
    ],
    "a rate that no second holds": [
        (0, {"rate": "1/d"}),
        (0, ("slot", 0)),
        (86_400_000 - 51, ("wait", 1)),
        (86_400_000 - 50, ("slot", 86_400_000)),
    ],
    "thousands a second": [
        (0, {"rate": "10000/s"}),
        (0, ("slot", 0)),
        (0, ("slot", 0.1)),
        (0, ("slot", 0.2)),
        (0.25, ("slot", 0.3)),
        (100, ("slot", 100)),
    ],
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_slots(bucket, story):
    fill(bucket)

    tell(bucket, story)


def test_a_claim_is_made_no_further_ahead_than_it_says(bucket):
    fill(bucket)
    bucket.ask()

    bucket.now_us = START_US + 100_000 - CLAIM_AHEAD_US - 1
    assert isinstance(bucket.ask(), Wait)
    bucket.now_us += 1
    assert isinstance(bucket.ask(), Claim)


@pytest.mark.parametrize(("rate", "interval_us"), [("3/s", 333_334), ("7/m", 8_571_429)])
def test_an_interval_is_never_rounded_down(redis, rate, interval_us):
    bucket = ClockedBucket(redis, rate)
    fill(bucket, 5)

    slots = [bucket.claim().slot_us for _ in range(5)]

    assert {later - earlier for earlier, later in pairwise(slots)} == {interval_us}


@pytest.mark.parametrize("burst", [1, 2, 7])
@pytest.mark.parametrize("pause_ms", [0, 30, 730, 5000])
def test_no_window_has_more_than_burst_and_rate(redis, burst, pause_ms):
    bucket = ClockedBucket(redis, f"20/s burst {burst}")
    fill(bucket, 60)
    slots = []
    for number in range(60):
        slots.append(bucket.claim().slot_us)
        if number in (10, 25, 26, 40):
            bucket.sleep(pause_ms / 1000)

    for first, begun_us in enumerate(slots):
        for last in range(first, len(slots)):
            assert last - first + 1 <= burst + (slots[last] - begun_us) / 50_000


class TestOrder:
    def test_the_most_urgent_job_goes_first(self, bucket):
        for priority in ("low", "default", "high", "low", "high"):
            bucket.enqueue(f"{priority}-{bucket.now_us}", priority=priority)
            bucket.sleep(0.001)

        order = [bucket.claim().job_id.split("-")[0] for _ in range(5)]

        assert order == ["high", "high", "default", "low", "low"]

    def test_jobs_of_one_priority_leave_as_they_came(self, bucket):
        fill(bucket, 5)

        assert [bucket.claim().job_id for _ in range(5)] == [f"job-{n:03}" for n in range(5)]

    def test_a_worker_takes_only_from_the_queues_that_it_listens_to(self, bucket, redis):
        bucket.enqueue("high", priority="high")
        bucket.enqueue("low", priority="low")
        listener = LeakyBucket(redis, "default", ["default-low"])

        answer = listener.claim(WORKER, "token", lease_ms=1000, now_us=bucket.now_us)

        assert isinstance(answer, Claim)
        assert (answer.job_id, answer.queue) == ("low", "default-low")
        bucket.sleep(1)
        answer = listener.claim(WORKER, "other", lease_ms=1000, now_us=bucket.now_us)
        assert isinstance(answer, Wait)
        assert answer.waiting == 0

    def test_promoted_jobs_take_their_turn(self, bucket, redis):
        queue = Queue("default-high", connection=redis, serializer=JSONSerializer)
        redis.zadd("rq:scheduled:default-high", {"scheduled": START_US / SECOND_US + 2})
        scheduled = Job.create("os.getpid", id="scheduled", connection=redis, serializer="json")
        scheduled.origin = queue.name
        scheduled.save()
        fill(bucket, 3)
        bucket.ask()

        bucket.sleep(1.999)
        assert bucket.claim().job_id == "job-001"
        bucket.sleep(0.1)
        assert bucket.claim().job_id == "scheduled"


class TestWhatIsNoJob:
    @pytest.mark.parametrize("status", ["gone", "husk", "canceled", "stopped"])
    def test_is_dropped_and_costs_no_slot(self, bucket, redis, status):
        bucket.enqueue("bad")
        bucket.enqueue("good")
        if status == "gone":
            redis.delete(keys.job("bad"))
        elif status == "husk":
            redis.hdel(keys.job("bad"), "data")
        else:
            redis.hset(keys.job("bad"), "status", status)

        answer = bucket.ask()

        assert isinstance(answer, Claim)
        assert (answer.job_id, answer.slot_us) == ("good", START_US)

    def test_an_entry_of_a_running_job_is_dropped(self, bucket, redis):
        bucket.enqueue("a")
        bucket.claim()
        redis.rpush(keys.queue("default"), "a")
        bucket.sleep(1)

        answer = bucket.ask()

        assert isinstance(answer, Wait)
        assert answer.waiting == 0

    def test_an_entry_of_a_job_whose_lease_is_gone_is_run(self, bucket, redis):
        bucket.enqueue("a")
        claim = bucket.claim()
        redis.delete(keys.lease(claim.token))
        redis.rpush(keys.queue("default"), "a")
        bucket.sleep(1)

        assert bucket.claim().attempt == 2

    def test_alone_costs_no_slot(self, bucket, redis):
        redis.rpush(keys.queue("default"), "nobody", "nothing")

        answer = bucket.ask()
        bucket.enqueue("a")

        assert isinstance(answer, Wait)
        assert answer.waiting == 0
        assert bucket.claim().slot_us == START_US


class TestMaxRunning:
    def test_is_kept_over_all_workers(self, bucket):
        bucket.set(max_running=2)
        fill(bucket)
        bucket.ask("w1")
        bucket.sleep(1)
        bucket.ask("w2")
        bucket.sleep(1)

        answer = bucket.ask("w3")

        assert isinstance(answer, Wait)
        assert not answer.exact

    def test_spends_no_slot_while_it_is_reached(self, bucket):
        bucket.set(max_running=1)
        fill(bucket)
        first = bucket.claim()
        bucket.sleep(0.3)
        bucket.ask()

        bucket.finish(first)

        assert bucket.claim().slot_us == bucket.now_us == START_US + 300_000

    def test_a_place_that_is_free_again_is_made_known(self, bucket, redis):
        bucket.set(max_running=1)
        fill(bucket)
        first = bucket.claim()
        bucket.ask()
        assert not redis.exists(keys.wake_up("default"))

        bucket.finish(first)

        assert redis.exists(keys.wake_up("default"))

    def test_the_place_of_a_dead_worker_is_free_when_its_lease_is_reaped(self, bucket):
        bucket.set(max_running=1)
        fill(bucket)
        dead = bucket.claim()
        bucket.sleep(1)
        assert isinstance(bucket.ask("other"), Wait)

        assert bucket.reap_until_silent() == 1

        assert bucket.ask("other").job_id == dead.job_id

    def test_none_is_any_number(self, bucket):
        bucket.set(max_running=1)
        bucket.set(max_running=None)
        fill(bucket)

        for number in range(20):
            assert isinstance(bucket.ask(f"w{number}"), Claim)
            bucket.sleep(0.1)


class TestSuspension:
    def test_rq_suspend_pauses_every_bucket(self, bucket, redis):
        fill(bucket)
        redis.set("rq:suspended", 1)
        assert isinstance(bucket.ask(), Wait)

        redis.delete("rq:suspended")

        assert isinstance(bucket.ask(), Claim)


class TestClaim:
    def test_is_one_round_trip(self, bucket):
        fill(bucket, 2)
        bucket.ask()
        bucket.sleep(1)

        with counted_round_trips() as sent:
            assert isinstance(bucket.ask(), Claim)

        assert len(sent) == 1

    def test_says_all_that_the_worker_needs(self, bucket):
        bucket.enqueue("a", priority="high")

        claim = bucket.ask(token="token")

        assert isinstance(claim, Claim)
        assert (claim.job_id, claim.queue, claim.token) == ("a", "default-high", "token")
        assert (claim.slot_us, claim.wait_us, claim.attempt) == (START_US, 0, 1)
        assert claim.fields[b"spigot_type"] == b"work"

    def test_asked_again_with_its_token_gives_the_same_answer(self, bucket):
        fill(bucket, 2)
        bucket.ask()
        bucket.now_us += 60_000
        first = bucket.ask(token="token")
        bucket.now_us += 10_000

        again = bucket.ask(token="token")

        assert isinstance(first, Claim)
        assert isinstance(again, Claim)
        assert (again.job_id, again.slot_us, again.attempt) == (first.job_id, first.slot_us, 1)
        assert (first.wait_us, again.wait_us) == (40_000, 30_000)

    def test_asked_again_with_its_token_lasts_from_then_on(self, bucket, redis):
        fill(bucket, 1)
        bucket.ask(token="token", lease_ms=7000)
        bucket.now_us += 6_000_000

        bucket.ask(token="token", lease_ms=7000)

        assert redis.zscore(keys.leases("default"), "token") == START_US / 1000 + 6000 + 7000

    def test_asked_again_before_its_slot_lasts_as_long_as_it_did(self, bucket, redis):
        fill(bucket, 2)
        bucket.ask()
        bucket.now_us += 60_000
        bucket.ask(token="token")
        until = redis.zscore(keys.leases("default"), "token")

        bucket.ask(token="token")

        assert redis.zscore(keys.leases("default"), "token") == until

    def test_writes_a_lease_that_lasts_from_the_slot_on(self, bucket, redis):
        fill(bucket, 2)
        bucket.ask()
        bucket.now_us += 50_000

        bucket.ask(token="token", lease_ms=7000)

        assert redis.zscore(keys.leases("default"), "token") == (START_US + 100_000) / 1000 + 7000
        assert redis.hgetall(keys.lease("token")) == {
            b"job": b"job-001",
            b"bucket": b"default",
            b"queue": b"default",
            b"worker": WORKER.encode(),
            b"slot_us": str(START_US + 100_000).encode(),
            b"attempt": b"1",
        }

    def test_is_shown_to_rqs_tools(self, bucket, redis):
        redis.hset(f"rq:worker:{WORKER}", "state", "idle")
        bucket.enqueue("a")

        bucket.ask(token="token")

        job = Job.fetch("a", connection=redis, serializer=JSONSerializer)
        assert job.get_status() == "started"
        assert job.worker_name == WORKER
        assert job.started_at.timestamp() == START_US / SECOND_US
        assert redis.zscore("rq:wip:default", "a:token") == float("inf")
        assert redis.hmget(f"rq:worker:{WORKER}", "state", "current_job") == [b"busy", b"a"]

    def test_keeps_a_job_that_was_to_expire(self, bucket, redis):
        bucket.enqueue("a")
        redis.expire(keys.job("a"), 100)

        bucket.ask()

        assert redis.ttl(keys.job("a")) == -1

    def test_forgets_what_a_former_attempt_left(self, bucket, redis):
        bucket.enqueue("a")
        left = ("spigot_returned_us", "spigot_progress", "spigot_error", "spigot_due_us")
        redis.hset(keys.job("a"), mapping=dict.fromkeys(left, "1"))

        bucket.ask()

        assert redis.hmget(keys.job("a"), *left) == [None] * 4

    def test_tells_those_who_listen_for_the_job(self, bucket, redis):
        bucket.enqueue("a")
        before = int(redis.hget(keys.job("a"), "spigot_revision"))

        bucket.ask()

        assert int(redis.hget(keys.job("a"), "spigot_revision")) == before + 1

    def test_counts_each_start(self, bucket):
        bucket.enqueue("a")
        for attempt in (1, 2, 3):
            claim = bucket.claim()
            assert claim.attempt == attempt
            bucket.retry(claim, delay=0)

    def test_a_job_given_back_before_its_slot_has_cost_that_slot(self, bucket):
        fill(bucket, 2)
        first = bucket.ask()
        assert isinstance(first, Claim)

        bucket.leases.give_back(AttemptReport(first.token, "work"), "", now_us=bucket.now_us)

        assert bucket.claim().job_id == first.job_id
        assert bucket.now_us == START_US + 100_000


@pytest.mark.parametrize("waiting", [0, 2])
def test_a_worker_that_gets_no_job_hears_when_leases_were_looked_through(bucket, waiting):
    for number in range(waiting):
        bucket.enqueue(f"job-{number}")
        bucket.ask()
    bucket.leases.reap(now_us=bucket.now_us)
    bucket.sleep(0.04)

    answer = bucket.ask("other")

    assert isinstance(answer, Wait)
    assert answer.reaped_ago == pytest.approx(0.04)


class TestFieldsOfTheJob:
    @pytest.mark.parametrize(
        "changed",
        [
            {"status": "queued"},
            {"spigot_request_id": "r1"},
            {"spigot_log": "{}", "retries_left": "2", "retry_intervals": "[0]"},
            {"spigot_hidden": '[["text"]]'},
            {"meta": "x"},
            {"spigot_attempts": "3", "spigot_revision": "7"},
            {"spigot_revision": "3"},
            {"enqueued_at": "2027-01-15T08:00:01.000000Z"},
        ],
    )
    def test_a_worker_gets_all_of_them(self, bucket, redis, changed):
        bucket.enqueue("a")
        redis.hset(keys.job("a"), mapping=changed)
        waited = redis.hgetall(keys.job("a"))

        claim = bucket.ask()

        assert claim.attempt == int(changed.get("spigot_attempts", "0")) + 1
        assert claim.fields == waited | {
            name: claim.fields[name]
            for name in (b"status", b"started_at", b"last_heartbeat", b"worker_name")
        }
        stored = redis.hgetall(keys.job("a"))
        assert (
            stored.items()
            >= {
                b"status": b"started",
                b"started_at": utc_text(claim.slot_us).encode(),
                b"spigot_token": claim.token.encode(),
                b"spigot_attempts": b"%d" % claim.attempt,
                b"spigot_revision": b"%d" % (int(waited[b"spigot_revision"]) + 1),
            }.items()
        )

    @pytest.mark.parametrize("missing", ["data", "spigot_type", "spigot_enqueued_us"])
    def test_a_field_that_is_missing_stops_no_job(self, bucket, redis, missing):
        bucket.enqueue("a")
        bucket.enqueue("b")
        redis.hdel(keys.job("a"), missing)

        assert bucket.ask().job_id == ("b" if missing == "data" else "a")

    def test_times_that_are_missing_stop_no_job_with_all_other_fields(self, bucket, redis):
        bucket.enqueue("a")
        others = ("spigot_request_id", "spigot_log", "retries_left", "retry_intervals")
        redis.hset(keys.job("a"), mapping=dict.fromkeys(others, "1"))
        redis.hdel(keys.job("a"), "created_at", "enqueued_at")

        assert bucket.ask().job_id == "a"

    def test_of_a_job_that_starts_a_day_later(self, bucket, redis):
        bucket.enqueue("a")
        bucket.sleep(86_400)

        claim = bucket.ask()

        assert redis.hget(keys.job("a"), "started_at") == utc_text(claim.slot_us).encode()


class TestSignOfLife:
    def test_a_worker_counts_as_alive_for_longer_than_it_sleeps(self, bucket, redis):
        bucket.ask()

        alive_ms = redis.zscore(keys.workers("default"), WORKER) - START_US / 1000
        assert alive_ms == ALIVE_SECONDS * 1000
        assert alive_ms - 9000 > SLEEP_SECONDS * 1000  # it is not renewed at each call

    def test_is_renewed_now_and_then(self, bucket, redis):
        redis.hset(f"rq:worker:{WORKER}", "state", "idle")
        bucket.ask(rq_ttl=480)
        redis.expire(f"rq:worker:{WORKER}", 70)
        bucket.sleep(8.999)
        bucket.ask(rq_ttl=480)
        assert 60 < redis.ttl(f"rq:worker:{WORKER}") <= 70

        bucket.sleep(0.001)
        bucket.ask(rq_ttl=480)

        assert redis.ttl(f"rq:worker:{WORKER}") > 470
        assert redis.zscore(keys.workers("default"), WORKER) == (START_US / 1000) + 49_000
        assert redis.hget(f"rq:worker:{WORKER}", "last_heartbeat") == b"2027-01-15T08:00:09.000000Z"

    def test_is_renewed_within_nine_seconds_after_the_server_lost_it(self, bucket, redis):
        bucket.ask()
        redis.delete(keys.workers("default"))
        bucket.sleep(9)

        bucket.ask()

        assert redis.zrange(keys.workers("default"), 0, -1) == [WORKER.encode()]

    def test_is_renewed_at_once_when_the_bucket_was_published_again(self, bucket, redis):
        bucket.ask()
        redis.flushdb()
        with pytest.raises(UnpublishedBucketError):
            bucket.ask()
        redis.delete(keys.workers("default"))
        BucketPublisher(redis).publish(bucket.configs)

        bucket.ask()

        assert redis.zrange(keys.workers("default"), 0, -1) == [WORKER.encode()]

    def test_is_renewed_after_the_clock_was_set_back(self, bucket, redis):
        bucket.ask()
        bucket.sleep(-3600)

        bucket.ask()

        assert redis.zscore(keys.workers("default"), WORKER) == START_US / 1000 - 3_560_000

    def test_leaving_ends_it(self, bucket, redis):
        bucket.ask()

        bucket.bucket.leave(WORKER)

        assert redis.zcard(keys.workers("default")) == 0


def test_lines_that_were_logged_are_forgotten(bucket, redis):
    tokens = [f"token-{number}" for number in range(9000)]  # more than Lua can unpack
    redis.hset(keys.unlogged("default"), mapping=dict.fromkeys([*tokens, "other"], "line"))

    bucket.ask(logged=tokens)

    assert redis.hkeys(keys.unlogged("default")) == [b"other"]


def test_a_bucket_without_numbers_gives_no_job(redis: Redis):
    with pytest.raises(UnpublishedBucketError, match="default"):
        LeakyBucket(redis, "default").claim(WORKER, "token", lease_ms=1000)
