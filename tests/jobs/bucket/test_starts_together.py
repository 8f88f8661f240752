"""Several starts by one run of the script leave what as many runs with one start each leave."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from redis import Redis, ResponseError
from rq import Queue
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.leaky_bucket import LeakyBucket
from spigot.jobs.store import keys
from spigot.runtime.rate import Rate
from spigot.worker.leases.attempt_report import AttemptReport, Hold
from tests.support.clocked_bucket import START_US, WORKER, ClockedBucket, work
from tests.support.redis_content import READERS
from tests.support.round_trips import commands_done, counted_round_trips

TOKENS = [f"asked-{number}" for number in range(12)]
RATES = ["20/s", "1000/s", "2500/s burst 3", "100000/s", "100000/s burst 100", "1/s burst 5"]
BUDGETS = {
    "jobs": {"limit": "6000/m", "burst": 4, "cost": 1},
    "starts": {"limit": "6000/m", "burst": 8, "cost": 1, "counted": "at_start"},
}

STANDBY = keys.standby_wake_up("default").encode()

Answer = tuple[Any, ...]


def told(answer: Claim | Wait) -> Answer:
    """Return what an answer says, but for when it was asked for."""
    if isinstance(answer, Wait):
        return ("wait", answer)
    return ("claim", replace(answer, start_at=0, asked_at=0, stands_until=0))


def all_of(redis: Redis) -> dict[bytes, tuple[Any, bool]]:
    """Return the value of each key, and whether it expires."""
    return {
        key: (READERS[redis.type(key)](redis, key), redis.ttl(key) != -1)
        for key in redis.scan_iter()
    }


def dumped(redis: Redis) -> list[tuple[bytes, int, bytes]]:
    return [(key, max(0, redis.pttl(key)), redis.dump(key)) for key in sorted(redis.scan_iter())]


def restore(redis: Redis, dump: list[tuple[bytes, int, bytes]]) -> None:
    redis.flushall()
    for key, ttl_ms, value in dump:
        redis.restore(key, ttl_ms, value)


class Story:
    """Brings a bucket into some state, step by step."""

    def __init__(self, redis: Redis, *, budgets: bool) -> None:
        redis.flushall()
        self.redis = redis
        self.bucket = ClockedBucket(
            redis, "1000/s", capacity=1000, budgets=BUDGETS if budgets else {}
        )
        self.count = 0

    def new_ids(self, number: int) -> list[str]:
        self.count += number
        return [f"job-{self.count - number + n:03}" for n in range(number)]

    def enqueue(self, number: int) -> None:
        self.bucket.enqueue_all(self.new_ids(number))

    def enqueue_urgent(self, number: int) -> None:
        for id in self.new_ids(number):
            self.bucket.enqueue(id, priority="high")

    def enqueue_others(self, number: int) -> None:
        for id in self.new_ids(number):
            self.bucket.enqueue(id, "retried")

    def enqueue_by_plain_rq(self, number: int) -> None:
        queue = Queue("default", connection=self.redis, serializer=JSONSerializer)
        for id in self.new_ids(number):
            queue.enqueue(work, job_id=id, ttl=600 if number % 2 else None)

    def schedule_by_plain_rq(self, number: int) -> None:
        self.enqueue_by_plain_rq(number)
        for _ in range(number):
            id = self.redis.rpop(keys.queue("default"))
            self.redis.zadd("rq:scheduled:default", {id: START_US / 1_000_000 + number})

    def push_what_is_no_job(self, number: int) -> None:
        self.redis.rpush(keys.queue("default"), *self.new_ids(number))

    def push_twice(self, number: int) -> None:
        entries = self.redis.lrange(keys.queue("default"), 0, number)
        if entries:
            self.redis.linsert(keys.queue("default"), "AFTER", entries[-1], entries[0])

    def lose_a_job(self, number: int) -> None:
        entries = self.redis.lrange(keys.queue("default"), 0, number)
        if entries:
            self.redis.delete(keys.job(entries[-1].decode()))

    def change_a_job(self, number: int) -> None:
        entries = self.redis.lrange(keys.queue("default"), 0, number)
        if entries:
            field, value = [("status", "stopped"), ("note", "x"), ("spigot_stop", "1")][number % 3]
            self.redis.hset(keys.job(entries[-1].decode()), field, value)

    def cancel(self, number: int) -> None:
        """Of many jobs one in the middle, which leaves a blank entry."""
        self.enqueue(80)
        for entry in self.redis.lrange(keys.queue("default"), 35, 35 + number):
            if entry:
                self.bucket.cancel(entry.decode())
        self.redis.ltrim(keys.queue("default"), 33 - number, -1)

    def start(self, number: int) -> list[Claim]:
        claims = []
        for n in range(number):
            answer = self.bucket.ask(f"worker-{n}")
            if isinstance(answer, Claim):
                claims.append(answer)
                self.bucket.now_us = max(self.bucket.now_us, answer.slot_us)
        return claims

    def finish(self, number: int) -> None:
        for claim in self.start(number):
            self.bucket.finish(claim)

    def give_back(self, number: int) -> None:
        for claim in self.start(number):
            self.bucket.give_back_unstarted(claim)

    def retry(self, number: int) -> None:
        for n, claim in enumerate(self.start(number)):
            self.bucket.retry(claim, n / 100)

    def refuse(self, number: int) -> None:
        for _ in range(number):
            for claim in self.start(1):
                report = AttemptReport(claim.token, "work", error="no")
                hold = Hold(number * 1000, stated=number % 2 == 0)
                self.bucket.leases.give_back(
                    report, "rate_limited", hold=hold, now_us=self.bucket.now_us
                )
            self.bucket.sleep(1)

    def meet_a_quota(self, number: int) -> None:
        """Hold the bucket for a moment; then one job at a time asks."""
        for claim in self.start(1):
            report, hold = AttemptReport(claim.token, "work"), Hold(1000, "quota", stated=False)
            self.bucket.leases.give_back(
                report, "rate_limited", hold=hold, now_us=self.bucket.now_us
            )
        self.bucket.sleep(number)

    def ask_before(self, number: int) -> None:
        """With one of the tokens; its answer was lost."""
        self.bucket.ask(token=TOKENS[number % 4])

    def poll(self, number: int) -> None:
        """Let workers find nothing."""
        self.redis.set("rq:suspended", 1)
        for n in range(number):
            self.bucket.ask(f"worker-{n}")
        self.redis.delete("rq:suspended")

    def set_rate(self, number: int) -> None:
        self.bucket.set(rate=Rate.parse(RATES[number % len(RATES)]))

    def limit_running(self, number: int) -> None:
        self.bucket.set(max_running=number)

    def pause(self, number: int) -> None:
        self.bucket.set(paused=number % 2 == 0)

    def suspend(self, number: int) -> None:
        if number % 2:
            self.redis.set("rq:suspended", 1)

    def be_known_to_rq(self, number: int) -> None:
        self.redis.hset(f"rq:worker:{WORKER}", "birth", number)

    def go_to_the_end_of_a_cell(self, number: int) -> None:
        self.bucket.now_us += 5_000_000 - self.bucket.now_us % 5_000_000 - number * 1000

    def go_on(self, number: int) -> None:
        self.bucket.now_us += number**5

    def set_the_clock_back(self, number: int) -> None:
        self.bucket.now_us -= number * 600_000


STEPS = [name for name in vars(Story) if not name.startswith("_") and name != "new_ids"]

steps = st.lists(
    st.tuples(st.sampled_from([*STEPS, "enqueue", "enqueue", "enqueue_others"]), st.integers(1, 6)),
    max_size=8,
)


def one_by_one(bucket: ClockedBucket, tokens: list[str], **options: Any) -> list[Answer]:
    """Ask for one job after the other, until there is none."""
    answers: list[Answer] = []
    for token in tokens:
        answer = bucket.ask(token=token, **options)
        answers.append(told(answer))
        if isinstance(answer, Wait):
            break
    return answers


def together(bucket: ClockedBucket, tokens: list[str], **options: Any) -> list[Answer]:
    return [told(answer) for answer in bucket.ask_for(tokens, **options)]


USUAL = {"budgets": False, "number": 6, "concurrency": 20, "ahead_us": 50_000}
UNUSUAL = [
    [("enqueue", 6), ("limit_running", 3)],
    [("enqueue", 6), ("ask_before", 1)],
    [("enqueue", 6), ("ask_before", 0)],
    [("enqueue", 6), ("refuse", 1), ("refuse", 1), ("refuse", 1), ("go_on", 30)],
    [("schedule_by_plain_rq", 3)] * 40 + [("enqueue", 2), ("go_on", 30)],
    [("set_rate", 3), ("enqueue", 6), ("go_to_the_end_of_a_cell", 1)],
    [("set_rate", 4), ("enqueue", 6)],
    [("enqueue", 6), ("push_twice", 2)],
    [("enqueue", 6), ("lose_a_job", 2), ("change_a_job", 4)],
    [("enqueue_urgent", 2), ("enqueue_by_plain_rq", 3)],
    [("retry", 2), ("poll", 2), ("go_on", 1)],
    [("cancel", 3)],
    [("enqueue", 6), ("meet_a_quota", 1)],
]


def every_example(test: Callable[..., None]) -> Callable[..., None]:
    for told_steps in UNUSUAL:
        test = example(told_steps=told_steps, **USUAL)(test)
    return example(told_steps=[("enqueue", 6)], **USUAL | {"budgets": True})(test)


@pytest.mark.slow
@every_example
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(
    told_steps=steps,
    budgets=st.sampled_from([False, False, False, True]),
    number=st.integers(2, len(TOKENS)),
    concurrency=st.sampled_from([1, 20]),
    ahead_us=st.sampled_from([1000, 50_000]),
)
def test_leave_what_single_starts_leave(redis, told_steps, budgets, number, concurrency, ahead_us):
    story = Story(redis, budgets=budgets)
    for name, n in [("enqueue", 3), *told_steps]:
        getattr(story, name)(n)
    bucket, tokens, dump = story.bucket, TOKENS[:number], dumped(redis)
    options = {"concurrency": concurrency, "ahead_us": ahead_us}

    bucket.bucket = LeakyBucket(redis, "default")
    expected, left = one_by_one(bucket, tokens, **options), all_of(redis)
    restore(redis, dump)
    bucket.bucket = LeakyBucket(redis, "default")
    answers = together(bucket, tokens, **options)

    assert answers == expected
    found = all_of(redis)
    if found.pop(STANDBY, None):  # single starts wake any worker and take that back
        left.pop(STANDBY, None)
    assert found == left


class TestSeveralStarts:
    def test_are_told_again_with_the_same_tokens(self, redis):
        bucket = ClockedBucket(redis, "1000/s")
        bucket.enqueue_all(f"job-{number}" for number in range(6))
        first, before = bucket.ask_for(TOKENS[:4]), all_of(redis)

        again = bucket.ask_for(TOKENS[:4])

        assert [claim.job_id for claim in first] == [f"job-{number}" for number in range(4)]
        assert [(claim.job_id, claim.slot_us, claim.attempt) for claim in again] == [
            (claim.job_id, claim.slot_us, claim.attempt) for claim in first
        ]
        assert all_of(redis) == before

    def test_that_were_not_all_told_are_followed_by_others(self, redis):
        bucket = ClockedBucket(redis, "1000/s")
        bucket.enqueue_all(f"job-{number}" for number in range(4))
        first = bucket.ask_for(TOKENS[:2])

        answers = bucket.ask_for(TOKENS[:6])

        assert [claim.job_id for claim in answers[:2]] == [claim.job_id for claim in first]
        assert [claim.job_id for claim in answers[2:4]] == ["job-2", "job-3"]
        assert [isinstance(answer, Wait) for answer in answers[4:]] == [True]

    @pytest.mark.parametrize("command", ["HSET", "PERSIST", "ZADD", "LPOP", "HMGET", "PUBLISH"])
    def test_that_fail_half_way_lose_no_job_and_start_none_twice(self, redis, command):
        bucket = ClockedBucket(redis, "1000/s")
        ids = [f"job-{number}" for number in range(6)]
        bucket.enqueue_all(ids)
        told = redis.connection_pool.connection_kwargs
        redis.execute_command("ACL", "SETUSER", "user", "reset", "on", ">word", "~*", "&*", "+@all")
        with Redis(
            unix_socket_path=told["path"], db=told.get("db", 0), username="user", password="word"
        ) as user:
            bucket.bucket = LeakyBucket(user, "default")
            redis.execute_command("ACL", "SETUSER", "user", f"-{command.lower()}")
            with suppress(ResponseError):
                bucket.ask_for(TOKENS[:4])
            redis.execute_command("ACL", "SETUSER", "user", "+@all")
            answers = bucket.ask_for(TOKENS[:4])
            answers += bucket.ask_for(TOKENS[4:8])
        redis.execute_command("ACL", "DELUSER", "user")

        claims = [answer for answer in answers if isinstance(answer, Claim)]
        slots = {claim.job_id: claim.slot_us for claim in claims}
        assert [claim.job_id for claim in claims] == ids
        assert list(slots.values()) == sorted(slots.values())
        for claim in claims:
            bucket.finish(claim)
        bucket.bucket = LeakyBucket(redis, "default")
        assert {bucket.status(id) for id in ids} == {"finished"}
        assert isinstance(bucket.ask(), Wait)
        assert redis.llen(keys.queue("default")) == 0


MOST_OF_A_START = 7
"""Commands for each further job of a batch, those inside the script too."""


def test_what_starts_together_shares_what_it_costs(counting_redis):
    bucket = ClockedBucket(counting_redis, "100000/s burst 100", capacity=1000)
    bucket.enqueue_all(f"job-{number:03}" for number in range(200))
    bucket.ask_for(["loaded", "loaded too"])

    def cost(tokens: list[str]) -> int:
        before = commands_done(counting_redis)
        with counted_round_trips() as sent:
            answers = bucket.ask_for(tokens)
        assert len(sent) == 1
        assert [claim.token for claim in answers] == tokens
        return commands_done(counting_redis) - before

    one = cost(["first"])
    many = cost([f"token-{number}" for number in range(32)])

    assert many - one <= 31 * MOST_OF_A_START
