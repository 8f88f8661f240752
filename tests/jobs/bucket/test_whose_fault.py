"""Whose fault refusals are: the job's that is refused while others pass, or the downstream's."""

from collections.abc import Callable

import pytest
from redis import Redis, ResponseError

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.bucket.configuring import BucketHistory
from spigot.jobs.bucket.control import BucketControl
from spigot.jobs.job.requeueing import JobRequeuer
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms
from tests.support.clocked_bucket import SECOND_US, ClockedBucket
from tests.support.consistency import problems

RATES = ["20/s", "1/m"]
LATENCIES = [0.005, 5.0]


def held_for(bucket: ClockedBucket) -> float:
    """Return how many seconds the bucket is still held."""
    until_us = int(bucket.redis.hget(keys.bucket("default"), "held_until_us") or 0)
    return max(0, until_us - bucket.now_us) / SECOND_US


def refuse(bucket: ClockedBucket, seconds: float = 1, **options: object) -> Claim:
    claim = bucket.claim()
    bucket.hold(claim, seconds, **options)
    return claim


def refuse_unsaid(bucket: ClockedBucket, kind: str = "wait") -> tuple[str, float]:
    """Refuse the next job without saying for how long; return which, and how long is held."""
    claim = refuse(bucket, 300 if kind == "quota" else 10, kind=kind, stated=False)
    return claim.job_id, held_for(bucket)


def fill(bucket: ClockedBucket, *names: str) -> None:
    for name in names:
        bucket.enqueue(name)


def waiting(redis: Redis, priority: str = "default") -> list[str]:
    queue = keys.queue(keys.queue_name("default", priority))
    return [job_id.decode() for job_id in redis.lrange(queue, 0, -1)]


@pytest.fixture(params=RATES)
def bucket(redis, request):
    return ClockedBucket(redis, request.param)


def simulate(
    bucket: ClockedBucket,
    refuses: Callable[[str], float | None],
    latency: float,
    seconds: float,
    workers: int = 200,
    served: int = 10**9,
) -> list[tuple[float, str, bool]]:
    """Let a fleet work; return when which job ended, and whether it was served.

    Args:
        bucket: What it serves.
        refuses: Told a job, how many seconds it is to wait; None: it is served.
        latency: Seconds from a start to the downstream's answer.
        seconds: How long.
        workers: How many jobs may run at once.
        served: Stop after so many jobs were served.
    """
    begun_us, running, ended = bucket.now_us, [], []
    while bucket.now_us < begun_us + seconds * SECOND_US:
        answer = bucket.ask() if len(running) < workers else None
        if isinstance(answer, Claim):
            running.append((answer.slot_us + round(latency * SECOND_US), answer))
            continue
        look_us = bucket.now_us + round((answer.seconds if answer else 60) * SECOND_US)
        end_us = min((end for end, _ in running), default=look_us)
        bucket.now_us = max(bucket.now_us, min(end_us, look_us))
        for end in [end for end in running if end[0] <= bucket.now_us]:
            running.remove(end)
            wait = refuses(end[1].job_id)
            ended.append(((bucket.now_us - begun_us) / SECOND_US, end[1].job_id, wait is None))
            if wait is None:
                bucket.finish(end[1])
            else:
                bucket.hold(end[1], wait)
        if sum(was_served for _, _, was_served in ended) >= served:
            break
        if not running and not bucket.redis.exists(
            keys.queue("default"), keys.queue("default-high")
        ):
            break
    return ended


@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("hold", [0.2, 3.0, 70.0])
def test_a_job_that_is_never_served_delays_the_others_by_three_holds(bucket, redis, latency, hold):
    others = [f"job-{number:02}" for number in range(20)]
    fill(bucket, "culprit", *others)
    interval = 60 if bucket.rate == "1/m" else 0.05

    ended = simulate(
        bucket, lambda job: hold if job == "culprit" else None, latency, 20_000, served=20
    )

    served = {job: at for at, job, was_served in ended if was_served}
    assert set(served) == set(others)
    # its own slots, and those that pass while it, and then its witness, are waited for
    own = 4 * (interval + latency)
    assert max(served.values()) <= 3 * max(hold, interval) + 20 * interval + latency + own
    assert list(problems(redis, "default", ["culprit", *others])) == []


def test_after_three_refusals_the_next_probe_is_another_job(bucket, redis):
    fill(bucket, "culprit", "other", "third")
    for _ in range(3):
        assert refuse(bucket).job_id == "culprit"

    witness = bucket.claim()

    assert witness.job_id == "other"
    assert waiting(redis) == ["culprit", "third"]
    assert bucket.read("culprit").position == 1
    bucket.finish(witness)
    assert [bucket.claim().job_id for _ in range(2)] == ["third", "culprit"]


def test_nobody_is_guilty_while_the_witness_runs_and_others_go_on(bucket):
    fill(bucket, "culprit", "witness", "third", "fourth")
    for _ in range(3):
        refuse(bucket)

    claims = [bucket.claim() for _ in range(3)]

    assert [claim.job_id for claim in claims] == ["witness", "third", "fourth"]
    assert not isinstance(bucket.ask(), Claim)  # the culprit waits for what its witness tells
    bucket.finish(claims[0])
    assert bucket.claim().job_id == "culprit"


@pytest.mark.parametrize("how", ["cancelled", "reaped", "deleted"])
def test_a_witness_that_tells_nothing_is_not_waited_for(bucket, redis, how):
    fill(bucket, "culprit", "witness")
    for _ in range(3):
        refuse(bucket)
    witness = bucket.claim()
    if how == "deleted":
        redis.delete(keys.job("witness"))
    if how == "cancelled":
        bucket.cancel("witness")
        bucket.leases.complete(
            AttemptReport(witness.token, "work"), "cancelled", now_us=bucket.now_us
        )
    else:
        bucket.leases.give_back(
            AttemptReport(witness.token, "work", error="why"), "reaped", now_us=bucket.now_us
        )

    assert bucket.claim().job_id == ("witness" if how == "reaped" else "culprit")


def test_a_witness_that_runs_for_hours_is_not_waited_for(bucket):
    fill(bucket, "culprit", "witness")
    for _ in range(3):
        refuse(bucket)
    bucket.claim()
    bucket.sleep(301)

    assert bucket.ask().job_id == "culprit"


def test_a_job_that_started_before_the_refusal_is_no_witness(bucket):
    fill(bucket, "early", "culprit", "other")
    early = bucket.claim()
    for _ in range(3):
        assert refuse(bucket).job_id == "culprit"
    bucket.finish(early)

    witness = bucket.claim()

    assert witness.job_id == "other"
    assert not isinstance(bucket.ask(), Claim)


def test_a_witness_that_fails_otherwise_was_not_refused(bucket, redis):
    fill(bucket, "culprit", "other", "third")
    for _ in range(3):
        refuse(bucket)
    bucket.fail(bucket.claim())

    assert bucket.claim().job_id == "third"
    assert waiting(redis) == ["culprit"]


def test_if_the_witness_is_refused_too_the_order_is_restored(bucket, redis):
    fill(bucket, "first", "second", "third")
    for _ in range(3):
        refuse(bucket)
    assert refuse(bucket).job_id == "second"

    assert waiting(redis) == ["first", "second", "third"]
    assert [bucket.claim().job_id for _ in range(3)] == ["first", "second", "third"]


def test_the_next_witness_is_a_job_that_was_not_refused(bucket, redis):
    fill(bucket, "one", "two", "good", "last")
    probes = [refuse(bucket).job_id for _ in range(5)]
    assert probes == ["one", "one", "one", "two", "one"]

    witness = bucket.claim()

    assert witness.job_id == "good"
    assert waiting(redis) == ["one", "two", "last"]
    bucket.finish(witness)
    assert refuse(bucket).job_id == "two"
    assert waiting(redis) == ["two", "last", "one"]


@pytest.mark.parametrize("latency", LATENCIES)
def test_two_culprits_do_not_stop_the_bucket(bucket, redis, latency):
    others = [f"job-{number:02}" for number in range(20)]
    fill(bucket, "one", "two", *others)
    culprits = {"one": 3.0, "two": 3.0}
    interval = 60 if bucket.rate == "1/m" else 0.05

    ended = simulate(bucket, culprits.get, latency, 20_000, served=20)

    served = {job: at for at, job, was_served in ended if was_served}
    assert set(served) == set(others)
    # three each, and one more, because the first one's witness was the second
    assert max(served.values()) <= 7 * (max(3, interval) + interval + latency) + 22 * interval + 6
    assert list(problems(redis, "default", [*culprits, *others])) == []


def test_a_culprit_that_is_more_urgent_does_not_stop_the_others(bucket):
    bucket.enqueue("culprit", priority="high")
    others = [f"job-{number:02}" for number in range(20)]
    fill(bucket, *others)

    ended = simulate(
        bucket, lambda job: 70.0 if job == "culprit" else None, 0.005, 20_000, served=20
    )

    interval = 60 if bucket.rate == "1/m" else 0.05
    last = max(at for at, _, was_served in ended if was_served)
    assert last <= 3 * max(70, interval) + 45 * interval + 1


@pytest.mark.parametrize("maximum", [1, 3, 4, 6])
def test_a_guilty_job_fails_when_it_was_refused_too_often(redis, maximum):
    bucket = ClockedBucket(redis, "20/s")
    bucket.leases = LeaseStore(
        redis,
        "default",
        "w",
        LeaseTerms(lease_ms=15_000, max_reaps=3, keep_seconds=60, max_refusals=maximum),
    )
    fill(bucket, "culprit", *(f"job-{number}" for number in range(9)))

    ended = simulate(bucket, lambda job: 1.0 if job == "culprit" else None, 0.005, 100)

    refusals = [job for _, job, _ in ended if job == "culprit"]
    assert len(refusals) == max(3, maximum)
    assert bucket.status("culprit") == "failed"
    assert bucket.read("culprit").error == (
        f"Refused {maximum} times, while other jobs passed, at last: RateLimited: wait"
    )
    lines = [line for line in bucket.log().values() if line["id"] == "culprit"]
    assert sorted(line["status"] for line in lines) == [
        *["rate_limited"] * (len(lines) - 1),
        "refused",
    ]


def test_where_the_downstream_refuses_everybody_nobody_fails(redis):
    bucket = ClockedBucket(redis, "20/s")
    names = [f"job-{number}" for number in range(5)]
    fill(bucket, *names)

    ended = simulate(bucket, lambda job: 1.0, 0.005, 60)

    assert len(ended) > 50
    assert {bucket.status(name) for name in names} == {"queued"}


def test_a_guilty_job_is_acquitted_when_the_others_are_refused_too(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "unlucky", *(f"job-{number}" for number in range(9)))
    refused_until = {"unlucky": 20.0}
    simulate(bucket, lambda job: 1.0 if job in refused_until else None, 0.005, 3.3)
    assert redis.hget(keys.job("unlucky"), "spigot_set_back") == b"1"
    fill(bucket, "late")

    ended = simulate(bucket, lambda job: 1.0, 0.005, 60)

    assert len(ended) > 50
    assert {bucket.status("unlucky"), bucket.status("late")} == {"queued"}


def test_the_only_job_of_a_bucket_is_not_at_fault(bucket):
    fill(bucket, "alone")

    ended = [refuse(bucket, 1) for _ in range(30)]

    assert len(ended) == 30
    assert bucket.status("alone") == "queued"


@pytest.mark.parametrize("count", [2, 5, 9])
def test_where_the_downstream_refuses_everybody_the_order_is_as_before(redis, count):
    bucket = ClockedBucket(redis, "20/s")
    names = [f"job-{number}" for number in range(count + 1)]
    fill(bucket, *names)

    refused = {refuse(bucket).job_id for _ in range(4 * count)}

    assert len(refused) > 1
    assert waiting(redis) == names


def test_after_the_clock_was_set_back_the_next_refusals_count(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "culprit", "other", "third", "fourth")
    for _ in range(3):
        refuse(bucket)
    bucket.sleep(-3600)
    redis.hdel(keys.bucket("default"), "held_until_us")  # which is kept

    witness = bucket.claim()
    assert witness.job_id == "other"
    bucket.finish(witness)

    assert [bucket.claim().job_id for _ in range(3)] == ["third", "fourth", "culprit"]


def test_a_pass_before_the_clock_was_set_back_makes_nobody_guilty(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "early", "culprit", "other")
    early = bucket.claim()
    refuse(bucket)
    bucket.finish(early)
    bucket.finish(bucket.claim())  # the culprit, this time
    bucket.sleep(-3600)
    redis.hdel(keys.bucket("default"), "held_until_us")
    fill(bucket, "late")

    assert [refuse(bucket).job_id for _ in range(4)] == ["other", "other", "other", "late"]
    assert redis.hget(keys.job("other"), "spigot_set_back") is None


def test_a_refusal_that_failed_half_way_counts_once(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "culprit", "other")
    for count in range(1, 4):
        claim = bucket.claim()
        redis.execute_command("ACL", "SETUSER", "default", "-lpush", "-rpush", "-linsert")
        with pytest.raises(ResponseError):
            bucket.hold(claim, 1)
        redis.execute_command("ACL", "SETUSER", "default", "+@all")
        bucket.hold(claim, 1)
        assert redis.hget(keys.job("culprit"), "spigot_refusals") == b"%d" % count


# How long holds are where the downstream does not say


def test_holds_grow_once_it_is_the_downstreams_fault(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "first", "second", "third", "fourth")

    holds = [refuse_unsaid(bucket)[1] for _ in range(9)]

    assert holds == [10, 10, 10, 20, 40, 80, 160, 300, 300]


def test_they_grow_for_a_job_alone_too(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "alone")

    assert [refuse_unsaid(bucket)[1] for _ in range(8)] == [10, 10, 10, 20, 40, 80, 160, 300]


def test_a_stated_wait_is_kept(bucket):
    fill(bucket, "first", "second")

    assert [(refuse(bucket, 70), held_for(bucket))[1] for _ in range(9)] == [70] * 9


def test_they_begin_anew_when_a_job_passes(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "first", "second", "third", "fourth")
    for _ in range(6):
        refuse_unsaid(bucket)

    bucket.finish(bucket.claim())

    assert refuse_unsaid(bucket)[1] == 10


def test_refusals_of_what_ran_at_the_first_one_are_one(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, *(f"job-{number}" for number in range(6)))
    claims = [bucket.claim() for _ in range(6)]

    for claim in claims:
        bucket.hold(claim, 10, stated=False)

    assert held_for(bucket) == 10


def test_meanwhile_one_job_at_a_time_asks(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "first", "second", "third", "fourth")
    for _ in range(4):
        refuse_unsaid(bucket)

    probe = bucket.claim()
    bucket.sleep(60)
    assert not isinstance(bucket.ask(), Claim)
    redis.delete(keys.wake_up("default"))
    bucket.finish(probe)

    assert redis.exists(keys.wake_up("default"))
    assert isinstance(bucket.ask(), Claim)
    bucket.sleep(0.06)
    assert isinstance(bucket.ask(), Claim)


def test_a_probe_whose_worker_dies_is_followed_by_another(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "first", "second")
    for _ in range(4):
        refuse_unsaid(bucket)
    bucket.claim()

    assert bucket.reap_until_silent() == 1

    assert isinstance(bucket.ask(), Claim)


# Quotas


def test_a_spent_quota_is_asked_for_later_and_later(bucket, redis):
    fill(bucket, "first", "second", "third")

    holds = [refuse_unsaid(bucket, "quota")[1] for _ in range(6)]

    assert holds == [300, 600, 1200, 2400, 3600, 3600]
    bucket.claim()
    bucket.sleep(60)
    assert not isinstance(bucket.ask(), Claim)  # one job asks


def test_a_quota_whose_end_is_stated_is_waited_for(bucket):
    fill(bucket, "first", "second")
    refuse(bucket, 7200, kind="quota")

    assert held_for(bucket) == 7200
    bucket.claim()
    bucket.sleep(60)
    assert isinstance(bucket.ask(), Claim)


def test_a_job_whose_quota_alone_is_spent_goes_to_the_end(bucket):
    fill(bucket, "culprit", "other", "third")
    for _ in range(3):
        assert refuse_unsaid(bucket, "quota")[0] == "culprit"

    bucket.finish(bucket.claim())

    assert [bucket.claim().job_id for _ in range(2)] == ["third", "culprit"]


# What operators do


def release(bucket: ClockedBucket) -> str:
    return BucketControl(bucket.redis, "ada").release("default", bucket.now_us)


def test_a_released_bucket_asks_at_once_and_knows_its_suspect(bucket):
    fill(bucket, "culprit", "other", "third")
    for _ in range(3):
        refuse(bucket, 3600)
    release(bucket)
    assert held_for(bucket) == 0

    witness = bucket.claim()
    assert witness.job_id == "other"
    bucket.finish(witness)
    assert [bucket.claim().job_id for _ in range(2)] == ["third", "culprit"]


def test_a_hold_that_was_not_stated_begins_anew_after_a_release(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "first", "second", "third", "fourth")
    for _ in range(6):
        refuse_unsaid(bucket)
    release(bucket)

    assert refuse_unsaid(bucket)[1] == 10


def test_a_release_while_a_probe_runs_lets_others_go(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "first", "second", "third")
    refuse_unsaid(bucket, "quota")
    bucket.claim()
    bucket.sleep(1)
    assert not isinstance(bucket.ask(), Claim)

    assert release(bucket) == ""

    assert isinstance(bucket.ask(), Claim)


def test_the_list_of_changes_says_who_ended_a_hold(bucket, redis):
    fill(bucket, "first")
    refuse(bucket, 3600)
    until = release(bucket)

    (change,) = BucketHistory(redis).read("default")
    assert (change["by"], change["changes"]) == ("ada", {"held_until": [until, ""]})


@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_a_culprit_that_is_taken_away_while_its_witness_runs_disturbs_nothing(bucket, redis, how):
    fill(bucket, "culprit", "witness", "third")
    for _ in range(3):
        refuse(bucket)
    witness = bucket.claim()
    if how == "cancel":
        bucket.cancel("culprit")
    else:
        redis.delete(keys.job("culprit"))
    bucket.finish(witness)

    assert bucket.claim().job_id == "third"


def test_cancelling_the_culprit_leaves_the_hold(bucket):
    fill(bucket, "culprit", "other")
    for _ in range(3):
        refuse(bucket, 70)
    bucket.cancel("culprit")

    assert held_for(bucket) == 70
    assert bucket.claim().job_id == "other"


def test_deleting_the_culprit_disturbs_nothing(bucket, redis):
    fill(bucket, "culprit", "other")
    for _ in range(3):
        refuse(bucket, 70)
    redis.delete(keys.job("culprit"))

    assert bucket.claim().job_id == "other"


@pytest.mark.parametrize("how", ["cancel", "delete"])
def test_a_refused_job_that_was_taken_away_holds_all_the_same(bucket, redis, how):
    fill(bucket, "culprit")
    claim = bucket.claim()
    if how == "cancel":
        bucket.cancel("culprit")
    else:
        redis.delete(keys.job("culprit"))
    bucket.hold(claim, 70)

    assert held_for(bucket) == 70
    assert redis.hget(keys.job("culprit"), "spigot_refusals") is None


def test_a_culprit_that_failed_and_is_requeued_begins_anew(redis):
    bucket = ClockedBucket(redis, "20/s")
    fill(bucket, "culprit", *(f"job-{number}" for number in range(9)))
    simulate(bucket, lambda job: 1.0 if job == "culprit" else None, 0.005, 100)
    assert bucket.status("culprit") == "failed"

    JobRequeuer(redis).requeue("culprit", now_us=bucket.now_us)

    fields = ["spigot_refusals", "spigot_refused_us", "spigot_set_back"]
    assert redis.hmget(keys.job("culprit"), fields) == [None, None, None]
    bucket.finish(bucket.claim())
    assert bucket.status("culprit") == "finished"


def test_a_retry_ends_a_series_of_refusals(bucket):
    bucket.enqueue("a", "retried")
    fill(bucket, "other")
    for _ in range(2):
        refuse(bucket)
    bucket.retry(bucket.claim(), 0)
    assert bucket.claim().job_id == "other"

    assert [refuse(bucket).job_id for _ in range(3)] == ["a"] * 3


def test_too_large_fails_at_once_and_leaves_the_bucket_alone(bucket, redis):
    fill(bucket, "large", "other")
    bucket.refuse_as_too_large(bucket.claim())

    assert bucket.status("large") == "failed"
    assert [line["status"] for line in bucket.log().values()] == ["refused"]
    assert redis.hget(keys.bucket("default"), "held_until_us") is None
    assert redis.zrange("rq:failed:default", 0, -1) == [b"large"]
    assert bucket.claim().job_id == "other"
