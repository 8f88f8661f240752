"""The scripts that end attempts, with an injected clock: completion and giving back."""

import base64
import json
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from rq import Queue, Repeat
from rq.job import Job
from rq.results import Result
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.job.job_form import DESCRIPTION
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport, Hold
from spigot.worker.leases.lease_store import LeaseStore
from spigot.worker.leases.lease_terms import LeaseTerms
from tests.support.clocked_bucket import KEEP_SECONDS, SECOND_US, WORKER, ClockedBucket, work
from tests.support.consistency import problems
from tests.support.processes import wait_for
from tests.support.redis_content import content

DAY = 86_400


def second_of(bucket: ClockedBucket) -> int:
    return bucket.now_us // SECOND_US


def fetch(redis: Redis, job_id: str) -> Job:
    return Job.fetch(job_id, connection=redis, serializer=JSONSerializer)


def results(redis: Redis, job_id: str) -> list[dict[str, str]]:
    entries = redis.xrange(keys.results(job_id))
    return [{k.decode(): v.decode() for k, v in entry.items()} for _, entry in entries]


def takes_wake_up(redis: Redis) -> bool:
    return redis.delete(keys.wake_up("default")) == 1


@pytest.fixture
def claim(bucket: ClockedBucket) -> Claim:
    bucket.enqueue("job", "retried", priority="low")
    claim = bucket.claim()
    bucket.redis.delete(keys.wake_up("default"))
    return claim


@pytest.fixture
def plain(redis: Redis) -> Queue:
    return Queue("default", connection=redis, serializer=JSONSerializer)


ENDS = {
    "complete": lambda bucket, token: bucket.leases.complete(
        AttemptReport(token, "work"), "finished", result="1", now_us=bucket.now_us
    ),
    "give_back": lambda bucket, token: bucket.leases.give_back(
        AttemptReport(token, "work", error="why"),
        "reaped",
        hold=Hold(9_000_000),
        now_us=bucket.now_us,
    ),
}


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
class TestEveryEnd:
    def test_leaves_the_job_in_one_place_and_no_trace_of_the_attempt(
        self, bucket, redis, claim, end
    ):
        assert end(bucket, claim.token) is not None

        assert not list(problems(redis, "default", ["job"]))
        assert redis.zcard(keys.leases("default")) == 0

    def test_of_an_attempt_that_was_given_to_somebody_else_changes_nothing(
        self, bucket, redis, claim, end
    ):
        assert bucket.reap_until_silent() == 1
        bucket.claim()
        before = content(redis)

        assert end(bucket, claim.token) is None

        assert content(redis) == before

    def test_answers_the_same_when_it_is_asked_again(self, bucket, redis, claim, end):
        first = end(bucket, claim.token)
        before = content(redis)

        again = end(bucket, claim.token)

        assert (again.line, content(redis)) == (first.line, before)

    def test_leaves_a_line_until_a_worker_has_written_it(self, bucket, redis, claim, end):
        bucket.sleep(0.25)
        line = end(bucket, claim.token).line

        assert bucket.log() == {claim.token: json.loads(line)}
        owner, _, kept = redis.hget(keys.unlogged("default"), claim.token).partition(b"\n")
        assert (owner.decode(), kept) == (WORKER, line)
        told = json.loads(line)
        assert (told["id"], told["type"], told["bucket"]) == ("job", "work", "default")
        assert (told["attempt"], told["worker"], told["ran_for"]) == (1, WORKER, 0.25)
        assert told["slot_at"] * SECOND_US == pytest.approx(claim.slot_us, abs=0.5)

    def test_of_a_job_that_was_deleted_meanwhile_does_not_bring_it_back(
        self, bucket, redis, claim, end
    ):
        fetch(redis, "job").delete()
        redis.delete(keys.results("job"))

        end(bucket, claim.token)

        assert not list(problems(redis, "default", []))
        assert not list(redis.scan_iter("rq:*job*"))
        assert len(bucket.log()) == 1

    def test_of_a_deleted_job_takes_along_what_was_written_since(self, bucket, redis, claim, end):
        fetch(redis, "job").delete()
        redis.hset(keys.job("job"), "spigot_progress", "{}")

        end(bucket, claim.token)

        assert not redis.exists(keys.job("job"))

    def test_forgets_the_token(self, bucket, redis, claim, end):
        end(bucket, claim.token)

        assert not redis.hexists(keys.job("job"), "spigot_token")

    def test_shows_rq_an_idle_worker(self, bucket, redis, plain, end):
        record = f"rq:worker:{WORKER}"
        redis.hset(record, "state", "idle")
        plain.enqueue(work)
        claim = bucket.claim()
        assert redis.hmget(record, "state", "current_job") == [b"busy", claim.job_id.encode()]

        end(bucket, claim.token)

        assert redis.hmget(record, "state", "current_job") == [b"idle", None]

    def test_leaves_a_worker_alone_that_has_another_job(self, bucket, redis, claim, end):
        record = {"state": "busy", "current_job": "another"}
        redis.hset(f"rq:worker:{WORKER}", mapping=record)

        end(bucket, claim.token)

        shown = redis.hmget(f"rq:worker:{WORKER}", *record)
        assert shown == [value.encode() for value in record.values()]

    def test_says_whether_other_jobs_wait_for_it(self, bucket, redis, plain, end):
        parent = plain.enqueue(work)
        plain.enqueue(work, depends_on=parent)
        ended = end(bucket, bucket.claim().token)

        assert ended.has_dependents == (bucket.status(parent.id) == "finished")


class TestFinished:
    def test_is_what_rq_reads(self, bucket, redis, claim):
        bucket.sleep(1)
        bucket.finish(claim, result='{"n": 1}')

        job = fetch(redis, "job")
        assert (job.get_status(), job.return_value()) == ("finished", {"n": 1})
        assert job.ended_at.timestamp() * SECOND_US == bucket.now_us
        (result,) = job.results()
        assert result.type == Result.Type.SUCCESSFUL
        assert (result.worker_name, result.execution_id) == (WORKER, claim.token)
        assert Queue("default-low", connection=redis).finished_job_registry.get_job_ids() == ["job"]

    def test_is_logged_with_its_result_and_no_error(self, bucket, claim):
        bucket.finish(claim, result='{"n": 1}')

        (line,) = bucket.log().values()
        assert (line["status"], line["result"]) == ("finished", {"n": 1})
        assert "error" not in line

    def test_keeps_what_was_reported(self, bucket, redis, claim):
        bucket.leases.complete(
            AttemptReport(claim.token, "work", progress='{"done": 1}'),
            "finished",
            now_us=bucket.now_us,
        )

        assert redis.hget(keys.job("job"), "spigot_progress") == b'{"done": 1}'

    def test_is_kept_as_long_as_is_set(self, bucket, redis, claim):
        bucket.finish(claim)

        assert redis.zscore("rq:finished:default-low", "job") == second_of(bucket) + KEEP_SECONDS
        for key in (keys.job("job"), keys.results("job")):
            assert 0 < redis.ttl(key) <= KEEP_SECONDS

    def test_takes_little_memory(self, bucket, redis, claim):
        bucket.finish(claim, result='{"n": 1}')

        assert redis.memory_usage(keys.results("job")) < 1000  # a new stream takes 4 KB
        assert not redis.exists("spigot:1:result_draft")

    def test_wakes_who_waits_for_the_result_as_rq_does(self, bucket, redis, claim):
        with ThreadPoolExecutor(1) as pool:
            latest = pool.submit(lambda: fetch(redis, "job").latest_result(timeout=20))
            wait_for(lambda: redis.info("clients")["blocked_clients"])
            bucket.finish(claim)

        assert latest.result().type == Result.Type.SUCCESSFUL

    def test_comes_after_the_results_of_earlier_attempts(self, bucket, redis, claim):
        bucket.retry(claim, delay=0)
        bucket.finish(bucket.claim(), result="2")

        kinds = [result.type for result in fetch(redis, "job").results()]
        assert kinds == [Result.Type.SUCCESSFUL, Result.Type.RETRIED]

    def test_is_kept_though_the_user_may_not_copy(self, bucket, redis, redis_url, claim):
        rights = {"keys": ["*"], "channels": ["*"], "commands": ["+@all", "-copy"]}
        redis.acl_setuser("clerk", enabled=True, nopass=True, **rights)
        with Redis.from_url(redis_url, username="clerk", password="any") as connection:
            leases = LeaseStore(
                connection,
                "default",
                WORKER,
                LeaseTerms(lease_ms=15_000, max_reaps=3, keep_seconds=60),
            )
            leases.complete(AttemptReport(claim.token, "work"), "finished", result="2")
        redis.acl_deluser("clerk")

        assert fetch(redis, "job").return_value() == 2

    def test_returns_nothing_for_none(self, bucket, redis, claim):
        bucket.finish(claim, result="null")

        assert "return_value" not in results(redis, "job")[0]
        assert fetch(redis, "job").return_value() is None

    @pytest.mark.parametrize(("ttl", "kept"), [(-1, True), (0, False)])
    def test_of_plain_rq_heeds_its_result_ttl(self, bucket, redis, plain, ttl, kept):
        job = plain.enqueue(work, result_ttl=ttl)
        bucket.finish(bucket.claim())

        assert redis.exists(keys.job(job.id), keys.results(job.id)) == (2 if kept else 0)
        assert redis.ttl(keys.job(job.id)) == (-1 if kept else -2)
        expected = [(job.id.encode(), float("inf"))] if kept else []
        assert redis.zrange("rq:finished:default", 0, -1, withscores=True) == expected

    def test_of_plain_rq_is_kept_as_rq_keeps_it(self, bucket, redis, plain):
        job = plain.enqueue(work)
        bucket.finish(bucket.claim())

        assert 490 < redis.ttl(keys.job(job.id)) <= 500

    def test_whose_result_is_not_kept_waits_for_its_dependents(self, bucket, redis, plain):
        parent = plain.enqueue(work, result_ttl=0)
        plain.enqueue(work, depends_on=parent)
        bucket.finish(bucket.claim())

        assert 500 < redis.ttl(keys.job(parent.id)) <= DAY
        assert 500 < redis.ttl(f"rq:job:{parent.id}:dependents") <= DAY
        assert redis.smembers(keys.dependents("default")) == {parent.id.encode()}

    def test_forgets_how_often_it_was_reaped(self, bucket, redis, claim):
        bucket.reap_until_silent()
        assert redis.hget(keys.job("job"), "spigot_reaps") == b"1"
        bucket.finish(bucket.claim())

        assert not redis.hexists(keys.job("job"), "spigot_reaps")

    def test_a_call_to_stop_that_came_too_late_is_forgotten(self, bucket, redis, claim):
        fetch(redis, "job").cancel()
        redis.hset(keys.job("job"), "spigot_stop", 1)
        bucket.finish(claim)

        assert bucket.status("job") == "finished"
        assert not redis.hexists(keys.job("job"), "spigot_stop")
        assert redis.zcard("rq:canceled:default-low") == 0


class TestFailed:
    def test_is_what_rq_reads(self, bucket, redis, claim):
        bucket.fail(claim, "KeyError: 'x'")

        job = fetch(redis, "job")
        assert job.get_status() == "failed"
        result = job.latest_result()
        assert (result.type, result.exc_string) == (Result.Type.FAILED, "KeyError: 'x'")
        assert redis.zscore("rq:failed:default-low", "job") == second_of(bucket) + KEEP_SECONDS
        assert bucket.read("job").error == "KeyError: 'x'"
        assert 0 < redis.ttl(keys.job("job")) <= KEEP_SECONDS

    def test_of_plain_rq_is_kept_a_year(self, bucket, redis, plain):
        job = plain.enqueue(work)
        bucket.fail(bucket.claim())

        assert redis.ttl(keys.job(job.id)) > 364 * DAY

    def test_keeps_the_last_ten_results(self, bucket, redis, plain):
        job = plain.enqueue(work)
        for _ in range(12):
            bucket.retry(bucket.claim(), delay=0)

        assert len(results(redis, job.id)) == 10

    def test_by_a_job_that_was_to_stop_is_cancelled(self, bucket, redis, claim):
        bucket.cancel("job")
        bucket.fail(claim)

        assert (bucket.status("job"), redis.zcard("rq:failed:default-low")) == ("cancelled", 0)


class TestRepeated:
    def repeat(self, bucket, plain, **fields) -> Claim:
        plain.enqueue(work, job_id="job", description=DESCRIPTION)
        claim = bucket.claim()
        bucket.redis.hset(keys.job("job"), mapping=fields)
        takes_wake_up(bucket.redis)
        bucket.finish(claim)
        return claim

    def test_waits_for_its_next_time(self, bucket, redis, plain):
        self.repeat(bucket, plain, repeats_left=2, repeat_intervals="[5, 30]")

        due_ms = redis.zscore(keys.delayed("default"), "job")
        assert due_ms * 1000 == bucket.now_us + 30 * SECOND_US
        assert redis.hget(keys.job("job"), "repeats_left") == b"1"
        assert fetch(redis, "job").enqueued_at.timestamp() * SECOND_US == bucket.now_us
        assert takes_wake_up(redis)
        assert not list(problems(redis, "default", ["job"]))

    def test_takes_the_first_interval_last(self, bucket, redis, plain):
        self.repeat(bucket, plain, repeats_left=1, repeat_intervals="[5, 30]")

        due_ms = redis.zscore(keys.delayed("default"), "job")
        assert due_ms * 1000 == bucket.now_us + 5 * SECOND_US

    def test_waits_at_once_if_there_is_no_interval(self, bucket, redis, plain):
        self.repeat(bucket, plain, repeats_left=1)

        assert bucket.status("job") == "queued"
        bucket.finish(bucket.claim())
        assert bucket.status("job") == "finished"

    def test_releases_its_dependents_each_time(self, bucket, redis, plain):
        parent = plain.enqueue(work, repeat=Repeat(times=1))
        plain.enqueue(work, depends_on=parent)

        assert bucket.finish(bucket.claim()).has_dependents
        assert redis.smembers(keys.dependents("default")) == {parent.id.encode()}

    def test_starts_with_no_reap(self, bucket, redis, plain):
        self.repeat(bucket, plain, repeats_left=1, spigot_reaps=2)

        assert not redis.hexists(keys.job("job"), "spigot_reaps")

    def test_not_when_it_was_cancelled(self, bucket, redis, plain):
        self.repeat(bucket, plain, repeats_left=1, spigot_stop=1)

        assert bucket.status("job") == "finished"


class TestGivenBack:
    def give_back(
        self,
        bucket: ClockedBucket,
        claim: Claim,
        status: str = "reaped",
        trace: str = "",
        progress: str = "",
        **options,
    ):
        report = AttemptReport(claim.token, "work", error="why", trace=trace, progress=progress)
        return bucket.leases.give_back(report, status, now_us=bucket.now_us, **options)

    def test_goes_first_again_and_wakes_a_worker(self, bucket, redis, claim):
        bucket.enqueue("other", priority="low")
        takes_wake_up(redis)
        self.give_back(bucket, claim)

        assert takes_wake_up(redis)
        assert (bucket.status("job"), bucket.read("job").position) == ("queued", 1)
        again = bucket.claim()
        assert (again.job_id, again.queue, again.attempt) == ("job", "default-low", 2)
        assert bucket.claim().job_id == "other"

    def test_jobs_return_in_the_order_of_their_slots(self, bucket):
        for number in range(4):
            bucket.enqueue(f"job-{number}")
        claims = [bucket.claim() for _ in range(3)]
        for number in (1, 2, 0):
            self.give_back(bucket, claims[number])

        assert [bucket.claim().job_id for _ in range(4)] == [f"job-{n}" for n in range(4)]

    def test_unbegun_was_no_attempt_and_is_not_logged(self, bucket, redis, claim):
        ended = self.give_back(bucket, claim, status="")

        assert (ended.line, bucket.log()) == (b"", {})
        assert bucket.claim().attempt == 1

    @pytest.mark.parametrize(
        ("delay_us", "position"), [(None, 1), (0, 3), (9_000_000, None)], ids=str
    )
    def test_tells_those_who_listen_where_it_is(self, bucket, redis, claim, delay_us, position):
        for name in ("other", "last"):
            bucket.enqueue(name, priority="low")
        revision = int(redis.hget(keys.job("job"), "spigot_revision"))
        listener = redis.pubsub(ignore_subscribe_messages=True)
        listener.subscribe(keys.job_events())
        listener.get_message(timeout=5)

        self.give_back(bucket, claim, delay_us=delay_us)

        assert listener.get_message(timeout=5)["data"] == b"job"
        assert int(redis.hget(keys.job("job"), "spigot_revision")) == revision + 1
        assert bucket.read("job").position == position

    def test_behind_one_that_came_back_before_is_second(self, bucket):
        for name in ("a", "b", "c"):
            bucket.enqueue(name)
        first, second = bucket.claim(), bucket.claim()
        self.give_back(bucket, first)
        self.give_back(bucket, second)

        assert [bucket.read(name).position for name in "abc"] == [1, 2, 3]

    def test_uses_no_retry(self, bucket, redis, claim):
        self.give_back(bucket, claim)

        fields = redis.hmget(keys.job("job"), "retries_left", "number_of_retries", "spigot_reaps")
        assert fields == [b"2", None, None]
        assert not redis.exists(keys.results("job"))

    def test_a_retry_is_counted_and_told(self, bucket, redis, claim):
        bucket.retry(claim, delay=3, error="KeyError: 'x'")

        assert redis.zscore(keys.delayed("default"), "job") * 1000 == bucket.now_us + 3 * SECOND_US
        fields = redis.hmget(keys.job("job"), "retries_left", "number_of_retries")
        assert fields == [b"1", b"1"]
        assert bucket.read("job").error == "KeyError: 'x'"
        (result,) = results(redis, "job")
        assert result["type"] == str(Result.Type.RETRIED.value)
        trace = zlib.decompress(base64.b64decode(result["exc_string"]))
        assert trace == b"KeyError: 'x'"

    def test_retries_left_never_fall_below_none(self, bucket, redis, plain):
        job = plain.enqueue(work)
        redis.hset(keys.job(job.id), "retries_left", 0)
        bucket.retry(bucket.claim(), delay=0)

        assert redis.hget(keys.job(job.id), "retries_left") == b"0"

    def test_a_retry_without_delay_waits_at_the_end(self, bucket):
        for name in ("job", "other"):
            bucket.enqueue(name)
        bucket.retry(bucket.claim(), delay=0)

        assert [bucket.claim().job_id for _ in range(2)] == ["other", "job"]

    def test_keeps_what_was_reported(self, bucket, redis, claim):
        self.give_back(bucket, claim, progress='{"done": 1}')

        assert redis.hget(keys.job("job"), "spigot_progress") == b'{"done": 1}'

    def test_counts_as_a_reap_if_its_process_died(self, bucket, redis, claim):
        for attempt in (1, 2):
            assert b'"status":"reaped"' in self.give_back(bucket, claim, counts_as_reap=True).line
            assert redis.hget(keys.job("job"), "spigot_reaps") == str(attempt).encode()
            claim = bucket.claim()
        line = json.loads(self.give_back(bucket, claim, counts_as_reap=True, trace="why").line)

        assert line["status"] == "abandoned"
        assert line["error"] == "Abandoned: cut off 3 times, at last: why"
        assert bucket.read("job").error == line["error"]
        assert fetch(redis, "job").latest_result().exc_string == "why"
        assert isinstance(bucket.ask(), Wait)
        assert not list(problems(redis, "default", ["job"]))

    def test_may_be_abandoned_at_the_first_time(self, bucket, redis, claim):
        strict = LeaseStore(
            redis,
            "default",
            WORKER,
            LeaseTerms(lease_ms=15_000, max_reaps=1, keep_seconds=KEEP_SECONDS),
        )
        report = AttemptReport(claim.token, "work")
        strict.give_back(report, "reaped", counts_as_reap=True, now_us=bucket.now_us)

        assert bucket.status("job") == "failed"

    def test_to_a_queue_that_rq_forgot_is_seen_by_rq(self, bucket, redis, claim):
        redis.delete("rq:queues")
        bucket.retry(claim, delay=0)

        assert redis.smembers("rq:queues") == {b"rq:queue:default-low"}

    def test_of_a_cancelled_job_says_why(self, bucket, redis, claim):
        bucket.cancel("job")
        line = json.loads(self.give_back(bucket, claim).line)

        assert (line["status"], line["error"]) == ("cancelled", "Cancelled: why")
        assert bucket.read("job").error == "Cancelled: why"

    def test_of_a_deleted_job_says_so(self, bucket, redis, claim):
        fetch(redis, "job").delete()
        line = json.loads(self.give_back(bucket, claim).line)

        assert (line["status"], line["error"]) == ("cancelled", "Deleted: while it ran")


class TestTheWorker:
    def record(self, redis) -> dict[bytes, bytes]:
        return redis.hgetall(f"rq:worker:{WORKER}")

    @pytest.mark.parametrize(
        ("end", "counter"), [("finish", "successful_job_count"), ("fail", "failed_job_count")]
    )
    def test_is_credited_in_rqs_record(self, bucket, redis, claim, end, counter):
        redis.hset(f"rq:worker:{WORKER}", "state", "busy")
        bucket.sleep(1.5)
        getattr(bucket, end)(claim)

        assert self.record(redis) == {
            b"state": b"busy", counter.encode(): b"1", b"total_working_time": b"1.5"
        }  # fmt: skip

    def test_whose_record_is_gone_gets_none(self, bucket, redis, claim):
        bucket.finish(claim)

        assert self.record(redis) == {}

    def test_is_estimated_by_the_mean_of_recent_runs(self, bucket, redis):
        for seconds in (0.8, 1.6):
            bucket.enqueue("job", "work", priority="low")
            claim = bucket.claim()
            bucket.sleep(seconds)
            bucket.finish(claim)
            redis.delete(keys.job("job"))

        assert redis.hget(keys.bucket("default"), "mean_run_us") == b"900000"

    def test_is_called_when_a_place_is_free_again(self, bucket, redis):
        bucket.set(max_running=1)
        for name in ("a", "b"):
            bucket.enqueue(name)
        claim = bucket.claim()
        takes_wake_up(redis)
        bucket.finish(claim)

        assert takes_wake_up(redis)

    @pytest.mark.parametrize(("max_running", "waiting"), [(1, 0), (None, 1)])
    def test_is_not_called_in_vain(self, bucket, redis, max_running, waiting):
        if max_running:
            bucket.set(max_running=max_running)
        for number in range(1 + waiting):
            bucket.enqueue(f"job-{number}")
        claim = bucket.claim()
        takes_wake_up(redis)
        bucket.finish(claim)

        assert not takes_wake_up(redis)


def test_a_cancelled_child_that_rq_brings_back_ends_in_one_place(redis):
    bucket = ClockedBucket(redis)
    bucket.enqueue("child")
    bucket.cancel("child")
    redis.hset(keys.job("child"), "status", "queued")
    redis.rpush(keys.queue("default"), "child")

    bucket.finish(bucket.claim())

    assert bucket.status("child") == "finished"
    assert redis.zscore("rq:canceled:default", "child") is None
