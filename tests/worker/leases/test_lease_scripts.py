"""The scripts that keep and reap leases, with an injected clock."""

import json

import pytest
from redis import Redis
from rq import Queue
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.leases.lease_answers import Reaped
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms
from tests.support.clocked_bucket import KEEP_SECONDS, SECOND_US, WORKER, ClockedBucket, work
from tests.support.consistency import problems

LEASE = 15
SILENCE = 12
"""Seconds: a lease, less the time between two renewals and what workers take to come back."""

RQ_TTL = 60


def renew(bucket: ClockedBucket, *tokens: str, by: LeaseStore | None = None):
    return (by or bucket.leases).renew(tokens, RQ_TTL, now_us=bucket.now_us)


def leases_of(bucket: ClockedBucket, worker: str, **options) -> LeaseStore:
    options = {"lease_ms": LEASE * 1000, "max_reaps": 3, "keep_seconds": KEEP_SECONDS} | options
    return LeaseStore(bucket.redis, "default", worker, LeaseTerms(**options))


def ends_at(redis: Redis, claim: Claim) -> float:
    """Return when the lease ends, Unix seconds."""
    return redis.zscore(keys.leases("default"), claim.token) / 1000


def takes_wake_up(redis: Redis) -> bool:
    return redis.delete(keys.wake_up("default")) == 1


@pytest.fixture
def claim(bucket: ClockedBucket) -> Claim:
    bucket.enqueue("job", priority="low")
    return bucket.claim()


@pytest.fixture
def just_looked_at(bucket: ClockedBucket, claim: Claim) -> None:
    """Somebody looked just now: what follows is no outage."""
    bucket.reap()
    bucket.redis.delete(keys.wake_up("default"))


def now(bucket: ClockedBucket) -> float:
    return bucket.now_us / SECOND_US


class TestPool:
    """A pool runs many jobs in one process; its death is no fault of most of them."""

    @pytest.fixture
    def claim(self, bucket) -> Claim:
        bucket.enqueue("job")
        return self.next_claim(bucket)

    def next_claim(self, bucket, worker: str = "pool") -> Claim:
        for _ in range(9):
            answer = bucket.ask(worker, concurrency=10)
            if isinstance(answer, Claim):
                bucket.now_us = max(bucket.now_us, answer.slot_us)
                return answer
            bucket.sleep(answer.seconds)
        raise AssertionError("no job left the bucket")

    def suspicion_of(self, redis: Redis) -> float:
        return float(redis.hget(keys.job("job"), "spigot_suspicion") or 0)

    def test_its_death_is_no_reap_but_raises_a_suspicion(self, bucket, redis, claim):
        seen = []
        for _ in range(4):
            bucket.reap_until_silent()
            seen.append(self.suspicion_of(redis))
            again = self.next_claim(bucket)

        assert seen == [1, 1.5, 2, 2]
        assert again.attempt == 5
        assert not redis.hexists(keys.job("job"), "spigot_reaps")

    def test_the_death_of_an_attempt_that_ran_alone_is_a_reap(self, bucket, redis, claim):
        bucket.leases.note_alone(claim.token)
        bucket.reap_until_silent()

        assert redis.hget(keys.job("job"), "spigot_reaps") == b"1"
        assert self.suspicion_of(redis) == 0

    def test_a_job_that_finishes_is_a_suspect_no_longer(self, bucket, redis, claim):
        bucket.leases.give_back(
            AttemptReport(claim.token, "work"), "reaped", suspicion=2, now_us=bucket.now_us
        )
        assert self.suspicion_of(redis) == 2
        bucket.finish(self.next_claim(bucket))

        assert self.suspicion_of(redis) == 0

    def test_is_counted_by_what_it_runs_at_once_while_it_lives(self, bucket, redis):
        reader = BucketReader(redis)
        bucket.ask("pool", concurrency=10)
        bucket.ask("worker")
        seen = reader.read("default", bucket.now_us)
        assert (seen.workers, seen.concurrency) == (2, 11)

        bucket.sleep(60)
        bucket.ask("worker")
        bucket.reap()
        seen = reader.read("default", bucket.now_us)
        assert (seen.workers, seen.concurrency) == (1, 1)
        assert redis.hlen(keys.concurrency("default")) == 0

    def test_leaves_with_its_number(self, bucket, redis):
        bucket.ask("pool", concurrency=10)
        bucket.bucket.leave("pool")

        assert redis.hlen(keys.concurrency("default")) == 0


class TestRenewal:
    def test_moves_the_end_of_the_lease_on(self, bucket, redis, claim):
        assert ends_at(redis, claim) == claim.slot_us / SECOND_US + LEASE
        bucket.sleep(3)

        renewed = renew(bucket, claim.token)

        assert (renewed.lost, renewed.cancelled) == (set(), set())
        assert ends_at(redis, claim) == now(bucket) + LEASE

    def test_takes_back_what_an_extension_gave_too_much(self, bucket, redis, claim, just_looked_at):
        bucket.sleep(LEASE + 1)
        bucket.leases.reap(now_us=bucket.now_us + 5 * SECOND_US)  # after an outage
        renew(bucket, claim.token)

        assert ends_at(redis, claim) == now(bucket) + LEASE

    def test_tells_which_attempts_are_lost(self, bucket, redis, claim):
        bucket.enqueue("other")
        other = bucket.claim()
        redis.delete(keys.lease(claim.token))

        assert renew(bucket, claim.token, other.token).lost == {claim.token}

    def test_does_not_take_up_a_lease_that_is_gone(self, bucket, redis, claim):
        bucket.finish(claim)
        renew(bucket, claim.token)

        assert redis.zcard(keys.leases("default")) == 0
        assert not redis.exists(keys.lease(claim.token))

    def test_tells_which_jobs_are_to_stop_and_still_keeps_them(self, bucket, redis, claim):
        bucket.cancel("job")
        bucket.sleep(3)

        renewed = renew(bucket, claim.token)

        assert (renewed.lost, renewed.cancelled) == (set(), {claim.token})
        assert ends_at(redis, claim) == now(bucket) + LEASE

    def test_is_a_sign_of_life(self, bucket, redis, claim):
        redis.hset(f"rq:worker:{WORKER}", "state", "busy")
        bucket.sleep(30)
        renew(bucket)

        assert redis.zscore(keys.workers("default"), WORKER) == (now(bucket) + 40) * 1000
        assert redis.hget(f"rq:worker:{WORKER}", "last_heartbeat").startswith(b"20")
        assert 0 < redis.ttl(f"rq:worker:{WORKER}") <= RQ_TTL

    def test_makes_up_no_record_for_rq(self, bucket, redis, claim):
        renew(bucket, claim.token)

        assert not redis.exists(f"rq:worker:{WORKER}")


class TestReaper:
    def test_leaves_a_lease_that_stands(self, bucket, redis, claim, just_looked_at):
        bucket.sleep(SILENCE)
        bucket.reap()
        bucket.sleep(LEASE - SILENCE - 0.001)

        assert bucket.reap() == Reaped({}, [], 0)
        assert bucket.status("job") == "started"

    def test_gives_back_what_has_run_out(self, bucket, redis, claim, just_looked_at):
        bucket.enqueue("other", priority="low")
        bucket.sleep(SILENCE)
        bucket.reap()
        bucket.sleep(LEASE - SILENCE)
        takes_wake_up(redis)

        reaped = bucket.reap()

        assert reaped.count == 1
        assert takes_wake_up(redis)
        assert not list(problems(redis, "default", ["job", "other"]))
        again = bucket.claim()
        assert (again.job_id, again.queue, again.attempt) == ("job", "default-low", 2)

    def test_says_in_the_log_whose_worker_fell_silent(self, bucket, redis, claim, just_looked_at):
        other = leases_of(bucket, "other")
        bucket.sleep(SILENCE)
        bucket.reap()
        bucket.sleep(LEASE - SILENCE)
        reaped = other.reap(now_us=bucket.now_us)

        ((token, line),) = reaped.lines.items()
        told = json.loads(line)
        assert (told["status"], told["error"]) == ("reaped", f"worker {WORKER} fell silent")
        assert (told["id"], told["attempt"], told["worker"]) == ("job", 1, WORKER)
        assert told["type"] == "work"
        assert told["ran_for"] == LEASE
        assert redis.hget(keys.unlogged("default"), token) == b"other\n" + line

    def test_names_the_function_of_a_job_of_plain_rq(self, bucket, redis):
        queue = Queue("default", connection=redis, serializer=JSONSerializer)
        job = queue.enqueue(work, "secret")
        redis.hset(keys.job(job.id), "enqueued_at", "2027-01-15T08:00:00.000000Z")  # START_US
        bucket.sleep(2)
        bucket.claim()
        bucket.reap_until_silent()

        (line,) = bucket.log().values()
        assert (line["type"], line["queued_for"]) == ("tests.support.clocked_bucket.work", 2)

    def test_uses_no_retry(self, bucket, redis):
        bucket.enqueue("job", "retried")
        bucket.claim()
        bucket.reap_until_silent()

        assert redis.hmget(keys.job("job"), "retries_left", "number_of_retries") == [b"2", None]
        assert not redis.exists(keys.results("job"))

    def test_gives_several_back_in_the_order_of_their_slots(self, bucket):
        for number in range(4):
            bucket.enqueue(f"job-{number}")
        for _ in range(3):
            bucket.claim()
        assert bucket.reap_until_silent() == 3

        assert [bucket.claim().job_id for _ in range(4)] == [f"job-{n}" for n in range(4)]

    def test_abandons_a_job_after_the_third_time(self, bucket, redis):
        bucket.enqueue("job", "retried")
        for _ in range(2):
            bucket.claim()
            assert bucket.reap_until_silent() == 1
            assert bucket.status("job") == "queued"
        bucket.claim()
        assert bucket.reap_until_silent() == 1

        reason = "Abandoned: 3 workers died or fell silent while they ran it"
        assert (bucket.status("job"), bucket.read("job").error) == ("failed", reason)
        *_, line = sorted(bucket.log().values(), key=lambda line: line["attempt"])
        assert (line["status"], line["error"], line["attempt"]) == ("abandoned", reason, 3)
        job = Job.fetch("job", connection=redis, serializer=JSONSerializer)
        assert job.latest_result().exc_string == reason
        assert isinstance(bucket.ask(), Wait)
        assert not list(problems(redis, "default", ["job"]))

    def test_counts_one_worker_as_one(self, bucket):
        bucket.leases = leases_of(bucket, WORKER, max_reaps=1)
        bucket.enqueue("job")
        bucket.claim()
        bucket.reap_until_silent()

        reason = "Abandoned: 1 worker died or fell silent while it ran it"
        assert bucket.read("job").error == reason

    def test_says_why_a_job_that_was_to_stop_is_cancelled(self, bucket, redis, claim):
        bucket.cancel("job")
        bucket.reap_until_silent()

        error = f"Cancelled: worker {WORKER} fell silent"
        assert (bucket.status("job"), bucket.read("job").error) == ("cancelled", error)
        assert [line["error"] for line in bucket.log().values()] == [error]
        assert 0 < redis.ttl(keys.job("job")) <= KEEP_SECONDS

    def test_does_not_bring_a_deleted_job_back(self, bucket, redis, claim):
        Job.fetch("job", connection=redis, serializer=JSONSerializer).delete()
        bucket.reap_until_silent()

        (line,) = bucket.log().values()
        assert (line["status"], line["error"]) == ("cancelled", "Deleted: while it ran")
        assert not list(problems(redis, "default", []))

    def test_forgets_a_token_without_lease(self, bucket, redis, claim):
        redis.delete(keys.lease(claim.token))
        bucket.reap_until_silent()

        assert redis.zcard(keys.leases("default")) == 0

    def test_takes_two_hundred_at_once(self, bucket, redis):
        redis.zadd(keys.leases("default"), {f"token-{n}": 0 for n in range(250)})

        assert [bucket.reap().count for _ in range(3)] == [200, 50, 0]

    def test_that_found_nothing_wakes_nobody(self, bucket, redis, claim, just_looked_at):
        bucket.reap()

        assert not takes_wake_up(redis)


class TestSilence:
    """Nobody could renew: the server hung, or was restarted."""

    def test_extends_what_ran_out_meanwhile(self, bucket, redis, claim, just_looked_at):
        bucket.sleep(60)

        assert bucket.reap().count == 0
        assert ends_at(redis, claim) == now(bucket) + LEASE

    def test_since_the_first_claim_counts_too(self, bucket, redis, claim):
        """The server hung before anybody had renewed or reaped for the first time."""
        bucket.sleep(LEASE + 1)

        assert bucket.reap().count == 0
        assert ends_at(redis, claim) == now(bucket) + LEASE

    def test_as_long_as_is_always_possible_extends_nothing(
        self, bucket, redis, claim, just_looked_at
    ):
        bucket.sleep(SILENCE)
        bucket.reap()

        assert ends_at(redis, claim) == claim.slot_us / SECOND_US + LEASE

    def test_that_a_renewal_ends_extends_the_others(self, bucket, redis, claim, just_looked_at):
        bucket.enqueue("other")
        other = bucket.claim()
        bucket.sleep(60)
        renew(bucket, other.token)

        assert bucket.reap().count == 0
        assert ends_at(redis, claim) == now(bucket) + LEASE

    def test_extends_only_once_what_nobody_renews(self, bucket, redis, claim, just_looked_at):
        bucket.sleep(60)
        bucket.reap()
        bucket.sleep(60)

        assert bucket.reap().count == 1

    def test_extends_again_what_was_renewed_in_between(self, bucket, redis, claim, just_looked_at):
        bucket.sleep(60)
        bucket.reap()
        renew(bucket, claim.token)
        bucket.sleep(60)

        assert bucket.reap().count == 0

    def test_brings_nobody_back_who_was_silent_before(self, bucket, redis, claim, just_looked_at):
        """Its lease ran out while others were in contact: it was due already."""
        other = leases_of(bucket, "other")
        for _ in range(2):
            bucket.sleep(8)
            renew(bucket, by=other)
        bucket.sleep(60)

        assert bucket.reap().count == 1

    def test_shortens_no_lease(self, bucket, redis, claim, just_looked_at):
        far = (now(bucket) + 500) * 1000
        redis.zadd(keys.leases("default"), {claim.token: far})
        bucket.sleep(60)
        bucket.reap()

        assert redis.zscore(keys.leases("default"), claim.token) == far

    def test_is_at_least_three_seconds(self, bucket, redis, claim):
        """An idle worker that is alone looks every two seconds, whatever the lease."""
        short = leases_of(bucket, "short", lease_ms=1000)
        short.renew([claim.token], RQ_TTL, now_us=bucket.now_us)
        bucket.sleep(3)

        assert short.reap(now_us=bucket.now_us).count == 1


class TestWhatTheDeadLeave:
    @pytest.fixture
    def line(self, bucket, claim) -> bytes:
        """The line of a worker that does not live to write it."""
        return bucket.finish(claim).line

    def adopt(self, bucket) -> Reaped:
        return leases_of(bucket, "other").reap(now_us=bucket.now_us)

    def test_lines_are_adopted_when_their_owner_is_gone(self, bucket, redis, claim, line):
        bucket.sleep(41)

        assert self.adopt(bucket).lines == {claim.token: line}
        assert redis.hget(keys.unlogged("default"), claim.token) == b"other\n" + line

    def test_lines_of_a_worker_that_signed_off_are_adopted_at_once(self, bucket, claim, line):
        bucket.bucket.leave(WORKER)

        assert self.adopt(bucket).lines == {claim.token: line}

    def test_lines_of_the_living_are_left_to_them(self, bucket, redis, claim, line):
        bucket.sleep(39)

        assert self.adopt(bucket).lines == {}
        assert redis.hget(keys.unlogged("default"), claim.token) == WORKER.encode() + b"\n" + line

    def test_nobody_adopts_lines_of_its_own(self, bucket, claim, line):
        bucket.sleep(41)

        assert bucket.reap().lines == {}

    def test_dependents_are_released_by_another(self, bucket, redis):
        queue = Queue("default", connection=redis, serializer=JSONSerializer)
        parent = queue.enqueue(work)
        queue.enqueue(work, depends_on=parent)
        bucket.finish(bucket.claim())

        assert self.adopt(bucket).parents == [parent.id]

    def test_waiting_jobs_ring_if_nobody_watches(self, bucket, redis):
        bucket.enqueue("job")
        takes_wake_up(redis)
        self.adopt(bucket)

        assert takes_wake_up(redis)


class TestRqsRegistries:
    """What RQ's own clean-up would do."""

    @pytest.mark.parametrize("registry", ["finished", "failed"])
    def test_forget_what_has_expired(self, bucket, redis, registry):
        second = bucket.now_us // SECOND_US
        redis.zadd(f"rq:{registry}:default-low", {"old": second - 1, "new": second + 1})
        bucket.reap()

        assert redis.zrange(f"rq:{registry}:default-low", 0, -1) == [b"new"]

    def test_forget_jobs_that_plain_rq_cancelled(self, bucket, redis):
        queue = Queue("default-high", connection=redis, serializer=JSONSerializer)
        old, young, revived = (queue.enqueue(work) for _ in range(3))
        for job in (old, young, revived):
            job.cancel()
        old_s = bucket.now_us // SECOND_US - KEEP_SECONDS
        redis.zadd("rq:canceled:default-high", {old.id: old_s, young.id: old_s + 1})
        redis.zadd("rq:canceled:default-high", {revived.id: old_s})
        redis.hset(keys.job(revived.id), "status", "started")
        bucket.reap()

        assert redis.zrange("rq:canceled:default-high", 0, -1) == [young.id.encode()]
        assert not redis.exists(keys.job(old.id))
        assert redis.exists(keys.job(young.id), keys.job(revived.id)) == 2


def test_forgets_workers_that_were_killed(bucket, redis, claim):
    redis.zadd(keys.workers("default"), {"killed": bucket.now_us // 1000 - 1})
    bucket.reap()

    assert redis.zrange(keys.workers("default"), 0, -1) == [WORKER.encode()]
