"""The counters that scripts keep, and what the metrics read of a bucket."""

import math

import pytest
from redis import Redis
from rq import Queue

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.configuring import BucketConfigurer, rate_fields
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.bucket.metrics import BucketMetrics, BucketMetricsReader
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.store import keys
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import MARK, job_type
from spigot.launch.key_checks import check_keys
from spigot.runtime.rate import Rate
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms

SECOND = 1_000_000
START = 1_700_000_000 * SECOND


@job_type("mail")
def mail(to: str = "x") -> None:
    """Do nothing."""


CONFIGS = {"default": BucketConfig(rate="10/s", capacity=3)}


@pytest.fixture
def queue(redis: Redis) -> JobQueue:
    BucketPublisher(redis).publish(CONFIGS)
    return JobQueue(redis, JobCatalog([getattr(mail, MARK)]), CONFIGS, keep_seconds=60)


@pytest.fixture
def leases(redis: Redis) -> LeaseStore:
    return LeaseStore(
        redis, "default", "w1", LeaseTerms(lease_ms=10_000, max_reaps=2, keep_seconds=60)
    )


def put(queue: JobQueue, now_us: int = START) -> str:
    state = queue.enqueue("mail", {}, now_us=now_us)
    return state.id


def claim(redis: Redis, token: str, now_us: int = START) -> Claim:
    found = LeakyBucket(redis, "default").claim("w1", token, lease_ms=10_000, now_us=now_us)
    assert isinstance(found, Claim), found
    return found


def read(redis: Redis, now_us: int | None = None) -> BucketMetrics:
    metrics = BucketMetricsReader(redis).read("default", now_us)
    assert metrics is not None
    return metrics


def let_nothing_start(redis: Redis) -> None:
    redis.hset(keys.bucket("default"), "paused", 1)


def now_us(redis: Redis) -> int:
    seconds, micros = redis.time()
    return seconds * SECOND + micros


def observed(metrics: BucketMetrics, name: str, type: str = "") -> dict[float, int]:
    """Return how many observations fell between each bound and the one before it."""
    histogram = metrics.histograms[name, type]
    below = (0, *histogram.counts)
    found = zip(histogram.bounds, histogram.counts, below, strict=False)
    return {bound: count - before for bound, count, before in found if count > before}


def test_shows_the_numbers_and_what_is_in_the_bucket(redis, queue):
    put(queue, START)
    put(queue, START + SECOND)
    claim(redis, "t1", START + 2 * SECOND)

    metrics = read(redis, START + 5 * SECOND)

    assert (metrics.capacity, metrics.waiting, metrics.running, metrics.workers) == (3, 1, 1, 1)
    assert (metrics.rate_configured, metrics.rate_effective) == (10, 10)
    assert metrics.oldest_waiting == 4
    assert (metrics.delayed, metrics.held_for, metrics.unlogged) == (0, 0, 0)
    assert (metrics.paused, metrics.draining, metrics.max_running) == (False, False, None)


def test_fields_are_found_quickly_and_only_counters_are_shown(redis, queue):
    BucketPublisher(redis).publish({"default": BucketConfig()})
    redis.hset(keys.stats("default"), "started:mail", 3)

    for hash_ in (keys.bucket("default"), keys.stats("default")):
        assert redis.object("encoding", hash_) == b"hashtable"
    assert read(redis).counts == {("started", "mail"): 3}
    assert check_keys(redis) == []


def test_a_bucket_without_numbers_is_none(redis):
    assert BucketMetricsReader(redis).read("default") is None
    assert BucketMetricsReader(redis).read_all() == []


def test_all_buckets_are_read_by_name(redis):
    BucketPublisher(redis).publish({"b": CONFIGS["default"], "a": CONFIGS["default"]})

    assert [metrics.name for metrics in BucketMetricsReader(redis).read_all()] == ["a", "b"]


def test_tells_how_long_ago_the_last_start_was(redis, queue):
    assert read(redis).since_last_start is None
    put(queue)
    claim(redis, "t1", START)

    assert read(redis, START + 3 * SECOND).since_last_start == 3
    assert read(redis, START - SECOND // 100).since_last_start == 0  # claimed ahead of its slot


def test_the_oldest_job_is_looked_for_in_all_three_queues(redis, queue):
    queue.enqueue("mail", {}, "low", now_us=START)
    queue.enqueue("mail", {}, "high", now_us=START + 7 * SECOND)

    assert read(redis, START + 10 * SECOND).oldest_waiting == 10


def test_a_job_that_was_delayed_waits_since_it_is_due(redis, queue, leases):
    job_id = put(queue)
    claim(redis, "t1")
    leases.give_back(
        AttemptReport("t1", "mail", error="x"), "retrying", delay_us=50 * SECOND, now_us=START
    )
    due = START + 50 * SECOND
    let_nothing_start(redis)
    LeakyBucket(redis, "default").claim("w1", "t2", lease_ms=1, now_us=due)  # promotes it

    metrics = read(redis, due + 3 * SECOND)

    assert redis.lrange(keys.queue("default"), 0, -1) == [job_id.encode()]
    assert (metrics.waiting, metrics.oldest_waiting) == (1, 3)


def test_a_job_that_rq_scheduled_waits_since_it_was_due(redis, queue):
    job_id = put(queue)
    redis.delete(keys.queue("default"))
    redis.hdel(keys.job(job_id), "enqueued_at", "spigot_enqueued_us")
    redis.zadd("rq:scheduled:default", {job_id: START // SECOND})
    let_nothing_start(redis)
    LeakyBucket(redis, "default").claim("w1", "t2", lease_ms=1, now_us=START + SECOND)

    assert read(redis, START + 4 * SECOND).oldest_waiting == 3


def test_a_job_that_rq_requeued_waits_since_then(redis, queue):
    job_id = put(queue)
    redis.hset(keys.job(job_id), "enqueued_at", "2023-11-14T22:13:25.000000Z")  # START + 5 s

    assert read(redis, START + 6 * SECOND).oldest_waiting == 1


def test_delayed_jobs_are_ours_and_those_that_rq_scheduled(redis, queue, leases):
    put(queue)
    claim(redis, "t1")
    leases.give_back(AttemptReport("t1", "mail", error="x"), "retrying", delay_us=60 * SECOND)
    redis.zadd("rq:scheduled:default-low", {"other": 1})

    assert read(redis).delayed == 2


def test_an_operators_rate_is_the_configured_one(redis, queue):
    BucketConfigurer(redis).set("default", {"operator": rate_fields(Rate.parse("2/s"))}, by="test")

    assert read(redis).rate_configured == 2


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [
        ("paused", 1, {"paused": True, "rate_effective": 0}),
        ("draining", 1, {"draining": True, "rate_effective": 10}),
        ("held_until_us", START + 30 * SECOND, {"held_for": 30, "rate_effective": 0}),
        ("held_until_us", START - 1, {"held_for": 0, "rate_effective": 10}),
        ("probing", 1, {"held_for": 0, "rate_effective": 0}),
        ("hold_kind", "quota", {"rate_effective": 10, "quota_spent": False}),
        ("max_running", 4, {"max_running": 4}),
    ],
)
def test_shows_why_jobs_do_not_start(redis, queue, field, value, shown):
    redis.hset(keys.bucket("default"), field, value)

    metrics = read(redis, START)

    assert {name: getattr(metrics, name) for name in shown} == shown


def test_a_suspended_rq_pauses_every_bucket(redis, queue):
    redis.set("rq:suspended", 1)

    assert read(redis).paused


def test_what_is_taken_in_and_what_is_refused_is_counted_by_type(redis, queue):
    for _ in range(5):
        queue.enqueue("mail", {}, now_us=START)
    redis.hset(keys.bucket("default"), "draining", 1)
    queue.enqueue("mail", {}, now_us=START)

    counts = read(redis).counts

    assert counts == {("enqueued", "mail"): 3, ("full", "mail"): 2, ("draining", "mail"): 1}


def test_a_start_is_counted_with_the_time_that_the_job_waited(redis, queue):
    put(queue, START)
    claim(redis, "t1", START + 20 * SECOND)

    metrics = read(redis)

    assert metrics.counts["started", "mail"] == 1
    assert observed(metrics, "waiting", "mail") == {30.0: 1}
    assert metrics.histograms["waiting", "mail"].sum == 20


def test_a_claim_that_is_asked_for_again_is_counted_once(redis, queue):
    put(queue)
    claim(redis, "t1")
    claim(redis, "t1")

    assert read(redis).counts["started", "mail"] == 1


def test_a_plain_rq_job_counts_as_rq(redis, queue):
    Queue("default", connection=redis, serializer="json").enqueue("os.getpid")
    claim(redis, "t1", now_us(redis))

    metrics = read(redis)

    assert metrics.counts["started", "rq"] == 1
    assert sum(observed(metrics, "waiting", "rq").values()) == 1


def test_only_the_first_attempt_tells_how_long_a_job_waited(redis, queue, leases):
    put(queue)
    claim(redis, "t1")
    leases.give_back(AttemptReport("t1", "mail", error="x"), "rate_limited", now_us=START)
    claim(redis, "t2", START + 10 * SECOND)

    metrics = read(redis)

    assert metrics.counts["started", "mail"] == 2
    assert sum(observed(metrics, "waiting", "mail").values()) == 1


def test_gaps_between_starts_are_measured_while_jobs_wait(redis, queue):
    for _ in range(3):
        put(queue)
    for i in range(3):
        claim(redis, f"t{i}", START + i * SECOND // 10)

    metrics = read(redis)

    assert observed(metrics, "gap") == {0.1: 2}
    assert math.isclose(metrics.histograms["gap", ""].sum, 0.2)


def test_an_idle_time_is_no_gap_between_starts(redis, queue):
    put(queue)
    claim(redis, "t1")
    put(queue, START + 60 * SECOND)
    claim(redis, "t2", START + 60 * SECOND)

    assert "gap" not in {name for name, _ in read(redis).histograms}


def test_an_end_is_counted_with_run_time_and_lateness(redis, queue, leases):
    put(queue)
    claim(redis, "t1")
    end = START + 3 * SECOND
    leases.complete(AttemptReport("t1", "mail", late_us=700), "finished", result="null", now_us=end)

    metrics = read(redis)

    assert metrics.counts["finished", "mail"] == 1
    assert observed(metrics, "run", "mail") == {5.0: 1}
    assert observed(metrics, "late") == {0.001: 1}
    assert metrics.histograms["late", ""].sum == 0.0007
    assert metrics.unlogged == 1


def test_an_observation_above_all_bounds_is_in_the_last_bucket(redis, queue, leases):
    put(queue)
    claim(redis, "t1")
    leases.complete(AttemptReport("t1", "mail", error="x", late_us=9_000_000), "failed")

    assert observed(read(redis), "late") == {math.inf: 1}


@pytest.mark.parametrize("status", ["retrying", "rate_limited", "reaped"])
def test_an_attempt_that_is_given_back_is_counted(redis, queue, leases, status):
    put(queue)
    claim(redis, "t1")
    leases.give_back(AttemptReport("t1", "mail", error="x", late_us=5), status)

    metrics = read(redis)

    assert metrics.counts[status, "mail"] == 1
    assert observed(metrics, "late") == {0.0005: 1}


def test_silent_and_abandoned_attempts_have_no_run_time(redis, queue, leases):
    put(queue)
    for second, token in enumerate(("t1", "t2")):
        claim(redis, token, START + second * SECOND)
        redis.zadd(keys.leases("default"), {token: 0})
        leases.reap()

    metrics = read(redis)

    assert (metrics.counts["reaped", "mail"], metrics.counts["abandoned", "mail"]) == (1, 1)
    assert not [name for name, _ in metrics.histograms if name in ("run", "late")]


def test_reading_costs_the_same_however_many_jobs_wait(redis, queue):
    def commands() -> int:
        redis.config_resetstat()
        read(redis)
        stats = redis.info("commandstats")
        return sum(
            v["calls"] for k, v in stats.items() if k not in ("cmdstat_config", "cmdstat_info")
        )

    put(queue)
    read(redis)
    few = commands()
    job_id = put(queue)
    redis.rpush(keys.queue("default"), *[job_id] * 5000)

    assert commands() == few
    assert few <= 25
