"""The usual end of a job, which reads hardly anything, leaves what the long way leaves."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.known_claim import known_of
from spigot.worker.leases.lease_store import LeaseStore
from tests.support.clocked_bucket import SECOND_US, WORKER, ClockedBucket
from tests.support.redis_content import content

ODD_NAMES = [
    "a/b",
    'quoted "name"',
    "back\\slash",
    "tab\tand\nline",
    "é€𝄞",
    "\x01\x1f\x7f",
    "job:1",
]
MINUTE_US = 60 * SECOND_US

Scene = Callable[[ClockedBucket], Any]


def set_record(**fields: str) -> Scene:
    return lambda bucket: bucket.redis.hset(f"rq:worker:{WORKER}", mapping=fields)


def set_bucket(**fields: Any) -> Scene:
    return lambda bucket: bucket.redis.hset(keys.bucket("default"), mapping=fields)


def set_job(**fields: Any) -> Scene:
    return lambda bucket: bucket.redis.hset(keys.job("job"), mapping=fields)


SCENES: dict[str, Scene] = {
    "nothing else": lambda bucket: None,
    "worker without a job": set_record(birth="now", state="suspended"),
    "worker with this job": set_record(state="busy", current_job="job"),
    "worker with others": set_record(
        state="busy", current_job="other", successful_job_count="7", total_working_time="1.5"
    ),
    "worker of odd numbers": set_record(
        current_job="job", successful_job_count="x", total_working_time="nan"
    ),
    "record of another type": lambda bucket: bucket.redis.set(f"rq:worker:{WORKER}", "odd"),
    "mean": set_bucket(mean_run_us=123_457),
    "odd mean": set_bucket(mean_run_us="odd"),
    "limit and a job that waits": lambda bucket: (
        bucket.enqueue("next"),
        bucket.redis.hset(keys.bucket("default"), "max_running", 1),
        bucket.redis.delete(keys.wake_up("default")),
    ),
    "limit": set_bucket(max_running=1),
    "refusals": set_bucket(refused_us=1, probing=1, passed_slot_us=2),
    "odd revision": set_job(spigot_revision="odd"),
    "another time to keep": set_job(result_ttl=7),
    "no time to keep": set_job(result_ttl=0),
    "for ever": set_job(result_ttl=-1),
    "odd time to keep": set_job(result_ttl="odd"),
    "cancelled": lambda bucket: bucket.cancel("job"),
    "cancelled by rq": set_job(status="canceled"),
    "ended": set_job(status="finished"),
    "of another attempt": set_job(spigot_token="other"),
    "deleted": lambda bucket: bucket.redis.delete(keys.job("job")),
    "awaited": lambda bucket: bucket.redis.sadd("rq:job:job:dependents", "child"),
    "results of before": lambda bucket: bucket.redis.xadd("rq:results:job", {"type": "4"}, "1-1"),
    "odd draft": lambda bucket: bucket.redis.set("spigot:1:result_draft", "odd"),
    "odd registry": lambda bucket: bucket.redis.set("rq:finished:default", "odd"),
    "odd lines": lambda bucket: bucket.redis.set(keys.unlogged("default"), "odd"),
    "odd counters": lambda bucket: bucket.redis.set(keys.stats("default"), "odd"),
}


def without_stream_ids(found: dict[bytes, tuple[Any, bool]]) -> dict[bytes, tuple[Any, bool]]:
    """Return a server's content; entries of streams are named by its own clock."""
    name = b"rq:results:job"
    if name in found:
        entries, expires = found[name]
        found[name] = ([fields for _, fields in entries], expires)
    return found


class TwoWays:
    """Lives the same twice, and ends it once the usual way and once without the claim."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    def end(self, scene: Scene, *, result: str, run_us: int, **told: Any) -> list[Any]:
        """Return what came of each: the answer, and all that the server holds."""
        return [self._live(scene, result, run_us, told, is_usual) for is_usual in (True, False)]

    def _live(
        self, scene: Scene, result: str, run_us: int, told: dict[str, Any], is_usual: bool
    ) -> Any:
        self._redis.flushdb()
        bucket = ClockedBucket(self._redis)
        bucket.enqueue("job")
        bucket.sleep(3)
        claim = bucket.claim()
        scene(bucket)
        bucket.now_us += run_us
        report = AttemptReport(claim.token, "work", claim=claim if is_usual else None, **told)
        ended = bucket.leases.complete(report, "finished", result=result, now_us=bucket.now_us)
        counts = self._redis.type(keys.stats("default")) == b"hash"
        stats = self._redis.hgetall(keys.stats("default")) if counts else None
        return ended, without_stream_ids(content(self._redis)), stats


@pytest.fixture
def two_ways(redis) -> TwoWays:
    return TwoWays(redis)


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
def test_leaves_what_the_long_way_leaves(two_ways, scene):
    usual, long = two_ways.end(scene, result='{"n": 1}', run_us=250_000, late_us=700)

    assert usual == long


@pytest.mark.parametrize(
    ("result", "run_us", "told"),
    [
        ("null", 0, {}),
        ('"a/b"', -5, {"late_us": 0}),
        ("1", MINUTE_US + 1, {"late_us": 9_000_000}),
        ("1", 26 * 60 * MINUTE_US, {"late_us": 20_000, "progress": '{"done": 1}'}),
        ("1", 59_999_999, {"used": "tokens:5"}),
        ("1", 1, {"noted": "tokens:100000000:0:8000000"}),
    ],
)
def test_leaves_the_same_whatever_there_is_to_tell(two_ways, result, run_us, told):
    usual, long = two_ways.end(SCENES["nothing else"], result=result, run_us=run_us, **told)

    assert usual == long


@pytest.mark.parametrize("job_id", ODD_NAMES)
@pytest.mark.parametrize(
    ("logged", "is_known"),
    [('{"a": "/\\u0001é"}', True), ("{}", True), ("no JSON", False), ('{"a":\n1}', False)],
)
def test_writes_the_same_line_byte_for_byte(redis, job_id, logged, is_known):
    lines = []
    for is_usual in (True, False):
        redis.flushdb()
        bucket = ClockedBucket(redis)
        bucket.enqueue(job_id)
        redis.hset(keys.job(job_id), mapping={"spigot_log": logged, "spigot_type": job_id})
        claim = bucket.ask(worker=job_id)
        assert isinstance(claim, Claim)
        assert bool(known_of(claim, "default", job_id, job_id)) == is_known
        report = AttemptReport(claim.token, job_id, claim=claim if is_usual else None)
        bucket.sleep(0.1234567)
        leases = LeaseStore(redis, "default", job_id, bucket.leases.terms)
        lines.append(leases.complete(report, "finished", result="1", now_us=bucket.now_us))

    assert lines[0] == lines[1]
    assert json.loads(lines[0].line)["id"] == job_id


def test_is_known_of_a_job_to_which_nothing_happened(bucket):
    bucket.enqueue("job", "retried")
    claim = bucket.claim()
    assert known_of(claim, "default", WORKER, "retried") is not None

    bucket.retry(claim, delay=0)
    assert known_of(bucket.claim(), "default", WORKER, "retried") is not None


@pytest.mark.parametrize(
    "field",
    ["dependency_id", "ended_at", "repeats_left", "reserved", "spigot_reaps", "spigot_suspicion"],
)
def test_is_not_known_of_a_job_to_which_something_happened(bucket, field):
    bucket.enqueue("job")
    claim = bucket.claim()
    unusual = replace(claim, fields=claim.fields | {field.encode(): b"1"})

    assert known_of(unusual, "default", WORKER, "work") is None


def test_is_not_known_of_a_job_that_was_requeued(bucket):
    bucket.enqueue("job")
    claim = bucket.claim()
    requeued = replace(
        claim, fields=claim.fields | {b"enqueued_at": b"2030-01-01T00:00:00.000000Z"}
    )

    assert known_of(requeued, "default", WORKER, "work") is None


def test_is_not_known_of_a_job_of_plain_rq(bucket):
    bucket.enqueue("job")
    claim = bucket.claim()
    del claim.fields[b"spigot_type"]

    assert known_of(claim, "default", WORKER, "work") is None


def test_is_not_known_of_a_job_that_another_worker_claimed(bucket):
    bucket.enqueue("job")
    claim = bucket.claim()

    assert known_of(claim, "default", "another", "work") is None


def test_does_not_read_the_lease(bucket):
    bucket.enqueue("job")
    claim = bucket.claim()
    bucket.redis.hset(keys.lease(claim.token), "queue", "default-low")
    bucket.finish(claim)

    assert bucket.redis.zscore("rq:finished:default", "job")
