"""Ends that one run of a script writes leave what a run for each of them leaves."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis
from redis.exceptions import ResponseError

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport, Hold
from spigot.worker.leases.end_calls import runs_of
from spigot.worker.leases.lease_answers import Ended
from spigot.worker.leases.lease_batch import LeaseBatch
from spigot.worker.leases.lease_store import LeaseStore
from tests.support.clocked_bucket import SECOND_US, WORKER, ClockedBucket
from tests.support.redis_content import content
from tests.support.round_trips import commands_done, counted_round_trips

RECORD = f"rq:worker:{WORKER}"
SHARED, OWN, BOUNDS = 15, 11, 2
"""Commands at most of ends whose lateness is told: those of a run, its call too; those of each end;
and those for run times that lie within other bounds of their histogram."""

End = Callable[[LeaseStore, ClockedBucket, AttemptReport], Any]
Scene = Callable[[ClockedBucket], Any]


def finish(result: str = '{"n": 1}', *, times: int = 1, **told: Any) -> End:
    def end(leases: LeaseStore, bucket: ClockedBucket, report: AttemptReport) -> None:
        report = replace(report, **told)
        for _ in range(times):
            leases.complete(report, "finished", result=result, now_us=bucket.now_us)

    return end


def end_as(status: str) -> End:
    def end(leases: LeaseStore, bucket: ClockedBucket, report: AttemptReport) -> None:
        report = replace(report, error="KeyError: 'x'", trace="File x\nKeyError: 'x'")
        leases.complete(report, status, now_us=bucket.now_us)

    return end


def give_back(status: str, **options: Any) -> End:
    def end(leases: LeaseStore, bucket: ClockedBucket, report: AttemptReport) -> None:
        report = replace(report, error="why")
        leases.give_back(report, status, now_us=bucket.now_us, **options)

    return end


def after(prepare: Callable[[ClockedBucket, Claim], Any], end: End) -> End:
    """Return an end before which something happens to the job."""

    def prepared(leases: LeaseStore, bucket: ClockedBucket, report: AttemptReport) -> None:
        end(leases, bucket, report)

    prepared.prepare = prepare  # type: ignore[attr-defined]
    return prepared


def set_job(**fields: Any) -> Callable[[ClockedBucket, Claim], Any]:
    return lambda bucket, claim: bucket.redis.hset(keys.job(claim.job_id), mapping=fields)


ENDS: dict[str, End] = {
    "usual": finish(),
    "None": finish("null"),
    "progress": finish(progress='{"done": 1}'),
    "twice": finish(times=2),
    "without claim": finish(claim=None),
    "used": finish(used="jobs:500000"),
    "failed": end_as("failed"),
    "refused": end_as("refused"),
    "retrying": give_back("retrying", delay_us=SECOND_US),
    "rate limited": give_back("rate_limited", hold=Hold(SECOND_US)),
    "cancelled": after(lambda bucket, claim: bucket.cancel(claim.job_id), finish()),
    "stopped": after(lambda bucket, claim: bucket.cancel(claim.job_id), end_as("cancelled")),
    "awaited": after(
        lambda bucket, claim: bucket.redis.sadd(f"rq:job:{claim.job_id}:dependents", "child"),
        finish(),
    ),
    "lease gone": after(
        lambda bucket, claim: bucket.redis.delete(keys.lease(claim.token)), finish()
    ),
    "given to another": after(set_job(spigot_token="other"), finish()),
    "deleted": after(
        lambda bucket, claim: bucket.redis.delete(keys.job(claim.job_id)), finish()
    ),
    "not kept": after(set_job(result_ttl=0), finish()),
    "kept for ever": after(set_job(result_ttl=-1), finish()),
    "odd": after(set_job(spigot_revision="odd", result_ttl="odd"), finish()),
    "of a result before": after(
        lambda bucket, claim: bucket.redis.xadd(keys.results(claim.job_id), {"type": "4"}, "1-1"),
        finish(),
    ),
}  # fmt: skip

SCENES: dict[str, Scene] = {
    "record": lambda bucket: bucket.redis.hset(
        RECORD, mapping={"state": "busy", "current_job": "job-1", "total_working_time": "0.1"}
    ),
    "odd record": lambda bucket: bucket.redis.hset(
        RECORD, mapping={"successful_job_count": "x", "total_working_time": "nan"}
    ),
    "mean": lambda bucket: bucket.redis.hset(keys.bucket("default"), "mean_run_us", 123_457),
    "limit and a job that waits": lambda bucket: (
        bucket.enqueue("next"),
        bucket.redis.hset(keys.bucket("default"), "max_running", 1),
        bucket.redis.delete(keys.wake_up("default")),
    ),
    "refusals": lambda bucket: bucket.redis.hset(
        keys.bucket("default"), mapping={"refused_us": 1, "probing": 1, "passed_slot_us": 2}
    ),
    "record of another type": lambda bucket: bucket.redis.set(RECORD, "odd"),
    "odd registry": lambda bucket: bucket.redis.set("rq:finished:default", "odd"),
    "odd lines": lambda bucket: bucket.redis.set(keys.unlogged("default"), "odd"),
    "odd counters": lambda bucket: bucket.redis.set(keys.stats("default"), "odd"),
    "odd draft": lambda bucket: bucket.redis.set("spigot:1:result_draft", "odd"),
}

BUDGETS = {"jobs": {"limit": "6000/m", "burst": 50, "cost": 1}}


@dataclass(frozen=True, slots=True)
class Ending:
    """A job, and how it ends."""

    end: str
    priority: str = "default"
    type: str = "work"
    late_us: int | None = 700
    pause_ms: int = 3


ENDINGS = st.builds(
    Ending,
    st.sampled_from(["usual", "None", *ENDS]),
    st.sampled_from(["default", "default", "high", "low"]),
    st.sampled_from(["work", "work", "retried"]),
    st.sampled_from([None, 0, 700, 9_000_000]),
    st.integers(1, 400),
)
USUAL = [Ending("usual"), Ending("None", late_us=9_000), Ending("progress", pause_ms=300)]


def without_stream_ids(found: dict[bytes, tuple[Any, bool]]) -> dict[Any, Any]:
    """Return a server's content; entries of streams are named by its own clock."""
    for name in [name for name in found if name.startswith(b"rq:results:")]:
        entries, expires = found[name]
        found[name] = ([fields for _, fields in entries], expires)
    return found


class Life:
    """Jobs that were claimed and are about to end.

    Args:
        redis: Whose content is thrown away.
        endings: How they are to end, in this order.
        scenes: What else there is in their bucket.
        budgets: Of the bucket.
    """

    def __init__(
        self,
        redis: Redis,
        endings: Sequence[Ending],
        scenes: Sequence[str] = (),
        budgets: dict[str, Any] | None = None,
    ) -> None:
        redis.flushdb()
        self.redis = redis
        self.bucket = ClockedBucket(redis, "1000/s", budgets=budgets or {})
        self.batch = LeaseBatch(self.bucket.leases)
        for script in (self.batch._complete, self.batch._give_back):
            redis.script_load(script.script)  # one that is called again comes after the others
        claims = [self._claim(number, ending) for number, ending in enumerate(endings)]
        for scene in sorted(scenes, key=list(SCENES).index):  # other types last: they replace
            SCENES[scene](self.bucket)
        for claim, ending in zip(claims, endings, strict=True):
            end = ENDS[ending.end]
            getattr(end, "prepare", lambda bucket, claim: None)(self.bucket, claim)
            report = AttemptReport(
                claim.token,
                ending.type,
                late_us=ending.late_us,
                counted_as=ending.type,
                claim=claim,
            )
            end(self.batch, self.bucket, report)

    def _claim(self, number: int, ending: Ending) -> Claim:
        self.bucket.enqueue(f"job-{number}", ending.type, priority=ending.priority)
        claim = self.bucket.claim()
        self.bucket.now_us += ending.pause_ms * 1000
        return claim

    def end_each(self) -> list[Ended | None]:
        """End each by a run of its own, in the order of the runs that end several."""
        ended: dict[int, Ended | None] = {}
        for run in runs_of(self.batch._ends):
            for place, end in run.ends.items():
                ended[place] = self.bucket.leases._end(end)
        return [ended[place] for place in range(len(ended))]

    def content(self) -> dict[Any, Any]:
        counts = self.redis.type(keys.stats("default")) == b"hash"
        stats = self.redis.hgetall(keys.stats("default")) if counts else None
        return without_stream_ids(content(self.redis)) | {"counters": stats}


@pytest.mark.slow
@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(ENDINGS, min_size=1, max_size=8), st.lists(st.sampled_from([*SCENES]), max_size=2),
    st.booleans(),
)  # fmt: skip
@example(USUAL * 3, ["record", "mean"], False)
@example([*USUAL, Ending("failed"), *USUAL, Ending("twice")], ["refusals"], False)
@example([*USUAL, Ending("awaited"), *USUAL, Ending("cancelled"), *USUAL], ["record"], False)
@example([Ending(name) for name in ENDS], ["record"], False)
@example([Ending(name) for name in ENDS], ["limit and a job that waits"], True)
def test_leave_what_a_run_for_each_leaves(redis, endings, scenes, is_budgeted):
    left = []
    for way in ("together", "each"):
        life = Life(redis, endings, scenes, BUDGETS if is_budgeted else None)
        ended = life.batch.write() if way == "together" else life.end_each()
        left.append({"ended": ended} | life.content())

    together, each = left
    names = sorted(together.keys() | each.keys(), key=str)
    wrong = {name: (together.get(name), each.get(name)) for name in names}
    assert {name: pair for name, pair in wrong.items() if pair[0] != pair[1]} == {}


def test_are_repeated_with_the_same_answer_and_counted_once(redis):
    life = Life(redis, [*USUAL, Ending("failed"), Ending("awaited"), *USUAL], ["record"])
    ended = life.batch.write()
    before = life.content()
    again = life.batch.write()

    assert all(ended)
    assert [answer.line for answer in again] == [answer.line for answer in ended]
    assert life.content() == before


@pytest.mark.parametrize(
    "command",
    ["hset", "xadd", "copy", "zadd", "expire", "publish", "hdel", "del", "zrem", "hincrby"],
)
def test_that_failed_half_way_end_when_they_are_written_again(counting_redis, command):
    admin = counting_redis
    life = Life(admin, [*USUAL, Ending("failed"), *USUAL], ["record"])
    admin.execute_command("ACL", "SETUSER", "default", f"-{command}")
    with suppress(ResponseError):  # what is only told stops no end
        life.batch.write()
    admin.execute_command("ACL", "SETUSER", "default", f"+{command}")

    ended = life.batch.write()

    assert all(ended)
    kept = admin.hgetall(keys.unlogged("default")).values()
    assert sorted(line.split(b"\n", 1)[1] for line in kept) == sorted(each.line for each in ended)
    finished = {f"job-{number}".encode() for number in range(7) if number != 3}
    assert set(admin.zrange("rq:finished:default", 0, -1)) == finished
    assert admin.zrange("rq:failed:default", 0, -1) == [b"job-3"]
    life.bucket.reap_until_silent()  # entries without a lease
    assert admin.keys("spigot:1:lease:*") == []
    assert admin.exists(keys.leases("default"), "spigot:1:result_draft") == 0


def test_one_that_may_not_be_written_does_not_stop_the_others(counting_redis):
    admin = counting_redis
    life = Life(admin, [*USUAL, *USUAL])
    allowed = ["~spigot:*", "~rq:[^j]*", "~rq:job:job-[^2]*"]
    admin.execute_command("ACL", "SETUSER", "default", "resetkeys", *allowed)

    with pytest.raises(ResponseError):
        life.batch.write()
    admin.execute_command("ACL", "SETUSER", "default", "~*")

    assert [life.bucket.status(f"job-{number}") for number in range(6)] == [
        "started" if number == 2 else "finished" for number in range(6)
    ]
    assert all(life.batch.write())
    assert life.bucket.status("job-2") == "finished"


def test_several_take_one_round_trip_and_few_commands(counting_redis):
    asking = commands_done(counting_redis)
    asking = commands_done(counting_redis) - asking
    found = {}
    for count in (1, 8, 32):
        for _ in range(2):  # scripts are loaded at first
            life = Life(counting_redis, [Ending("usual", pause_ms=0)] * count, ["record"])
            before = commands_done(counting_redis)
            with counted_round_trips() as sent:
                assert all(life.batch.write())
            found[count] = commands_done(counting_redis) - before - asking
        assert len(sent) == 1

    assert found[1] <= SHARED + OWN
    assert found[8] <= SHARED + 8 * OWN + BOUNDS
    assert found[32] <= SHARED + 32 * OWN + BOUNDS
