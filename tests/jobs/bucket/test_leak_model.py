"""The scripts against a bucket in plain Python, whatever is done to both, in whatever order."""

import re
from collections.abc import Callable, Iterator
from functools import cache

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from redis import Redis
from rq.job import Job
from rq.serializers import JSONSerializer

from spigot.jobs.bucket.claim_answers import Claim, Wait
from spigot.jobs.bucket.control import BucketControl
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.store import keys, lua_script
from spigot.jobs.store.lua_script import load_script
from spigot.runtime.rate import Rate
from spigot.worker.leases.attempt_report import AttemptReport, Hold
from tests.support.clocked_bucket import SECOND_US, ClockedBucket
from tests.support.leak_model import BucketModel, Started, Waits

QUEUES = keys.queue_names("default")
RATES = ["1/s", "3/s", "20/s", "100/s", "7/m", "1/h", "2500/s"]
WORKERS = ["worker-1", "worker-2", "worker-3"]
DEAD_MS = 500
AT_ONCE_SECONDS = 0.000_001

a_while = st.one_of(
    st.integers(0, 2_000),
    st.sampled_from([10_000, 49_999, 50_000, 50_001, 150_000, SECOND_US, 8 * SECOND_US]),
    st.integers(0, 4000 * SECOND_US),
)
priorities = st.sampled_from(["high", "default", "low"])
queue_names = st.sampled_from(QUEUES)


def jobs_wait(machine: "LeakMachine") -> bool:
    """Return whether there is a job in one of the queues."""
    return any(entry.is_job for queue in machine.model.queues.values() for entry in queue)


class LeakMachine(RuleBasedStateMachine):
    """Does the same to a bucket on the server and to its model."""

    def __init__(self, redis: Redis) -> None:
        super().__init__()
        redis.flushall()
        self.redis = redis
        self.survey = load_script(redis, "tests.jobs.bucket", "survey_queue.lua")
        self.bucket = ClockedBucket(redis, "20/s", capacity=10_000)
        self.model = BucketModel(interval_us=50_000)
        self.count = self.asked = 0
        self.slots: list[int] = []  # since the numbers or the clock were changed

    def new_id(self) -> str:
        self.count += 1
        return f"job-{self.count:05}"

    @initialize()
    def fill(self) -> None:
        for _ in range(3):
            self.enqueue("default")

    # What comes in

    @rule(priority=priorities)
    def enqueue(self, priority: str) -> None:
        id = self.new_id()
        self.bucket.enqueue(id, priority=priority)
        self.model.put(id, keys.queue_name("default", priority))

    @rule(queue=queue_names)
    def push_what_is_no_job(self, queue: str) -> None:
        id = self.new_id()
        self.redis.rpush(keys.queue(queue), id)
        self.model.put(id, queue, is_job=False)

    @rule(queue=queue_names, seconds=st.integers(0, 30))
    def schedule_by_plain_rq(self, queue: str, seconds: int) -> None:
        id, due_s = self.new_id(), self.bucket.now_us // SECOND_US + seconds
        job = Job.create("f.g", id=id, connection=self.redis, serializer=JSONSerializer)
        job.origin = queue
        job.save()
        self.redis.zadd(f"rq:scheduled:{queue}", {id: due_s})
        self.model.scheduled[id] = (due_s * 1000, queue)

    @rule(data=st.data())
    @precondition(lambda self: any(self.model.queues.values()))
    def lose_a_waiting_job(self, data: st.DataObject) -> None:
        entry = data.draw(st.sampled_from([e for q in self.model.queues.values() for e in q]))
        self.redis.delete(keys.job(entry.id))
        entry.is_job, entry.returned_us = False, None
        self.model.refused.pop(entry.id, None)

    @rule(priority=priorities, number=st.integers(1, 12))
    def enqueue_many(self, priority: str, number: int) -> None:
        for _ in range(number):
            self.enqueue(priority)

    # What is taken out and looked at

    def a_waiting_job(self, data: st.DataObject) -> str:
        entries = [e.id for queue in self.model.queues.values() for e in queue if e.is_job]
        return data.draw(st.sampled_from(entries))

    @rule(data=st.data())
    @precondition(jobs_wait)
    def cancel_a_waiting_job(self, data: st.DataObject) -> None:
        id = self.a_waiting_job(data)
        assert self.bucket.cancel(id).outcome == "cancelled"
        self.model.cancel(id)

    @rule(data=st.data())
    @precondition(lambda self: self.model.delayed or self.model.scheduled)
    def cancel_a_delayed_job(self, data: st.DataObject) -> None:
        id = data.draw(st.sampled_from([*self.model.delayed, *self.model.scheduled]))
        self.bucket.cancel(id)
        self.model.cancel(id)

    @rule(data=st.data())
    @precondition(jobs_wait)
    def look_at_a_waiting_job(self, data: st.DataObject) -> None:
        id = self.a_waiting_job(data)
        assert self.bucket.read(id).position == self.model.position(id)

    @rule(kept=st.integers(0, 3))
    def purge(self, kept: int) -> None:
        if kept == 0:  # seldom, or little would happen
            BucketControl(self.redis, "ada").purge("default", keep_seconds=60)
            self.model.purge()

    @rule(data=st.data(), blanks=st.integers(0, 3))
    @precondition(jobs_wait)
    def let_plain_rq_take_out_and_survey(self, data: st.DataObject, blanks: int) -> None:
        id = self.a_waiting_job(data)
        for queue in QUEUES:
            self.redis.lrem(keys.queue(queue), 1, id)
            self.redis.lrem(keys.queue(queue), blanks, "")
            while self.survey(args=[queue]):
                pass
        self.model.cancel(id)

    @invariant()
    def counts_the_jobs_that_wait(self) -> None:
        waiting = sum(map(len, self.model.queues.values()))
        assert BucketReader(self.redis).read("default", self.bucket.now_us).waiting == waiting

    # What goes out

    @rule(worker=st.sampled_from(WORKERS))
    def ask(self, worker: str) -> None:
        self.asked += 1
        token = f"token-{self.asked:05}"
        expected = self.model.ask(token, self.bucket.now_us)

        answer = self.bucket.ask(worker, token=token)
        while isinstance(answer, Wait) and answer.seconds <= AT_ONCE_SECONDS:
            answer = self.bucket.ask(worker, token=token)

        self.compare(answer, expected)

    @rule(worker=st.sampled_from(WORKERS), number=st.integers(2, 6))
    def ask_for_several(self, worker: str, number: int) -> None:
        """The model is asked for one after the other, until there is none."""
        tokens = [f"token-{self.asked + n:05}" for n in range(1, number + 1)]
        self.asked += number
        while tokens:
            answers = self.bucket.ask_for(tokens, worker)
            if isinstance(answers[-1], Wait) and answers[-1].seconds <= AT_ONCE_SECONDS:
                answers.pop()
            for answer in answers:
                self.compare(answer, self.model.ask(tokens.pop(0), self.bucket.now_us))
                if isinstance(answer, Wait):
                    return

    def compare(self, answer: Claim | Wait, expected: Started | Waits) -> None:
        if isinstance(expected, Started):
            assert isinstance(answer, Claim), (answer, expected)
            assert (answer.job_id, answer.queue) == (expected.id, expected.queue)
            assert (answer.slot_us, answer.attempt) == (expected.slot_us, expected.attempt)
            assert answer.wait_us == max(0, expected.slot_us - self.bucket.now_us)
            self.note_slot(expected.slot_us)
        else:
            assert not isinstance(answer, Claim), (answer, expected)
            assert answer.waiting == expected.waiting
            assert self.next_look_ms() <= expected.by_ms

    @rule(worker=st.sampled_from(WORKERS), times=st.integers(2, 5))
    def ask_until_the_next_slots(self, worker: str, times: int) -> None:
        for _ in range(times):
            self.ask(worker)
            self.go_on_to_the_next_look()

    def note_slot(self, slot_us: int) -> None:
        """Hold what the bucket promises, whatever the model says."""
        self.slots.append(slot_us)
        for number, begun_us in enumerate(reversed(self.slots), start=1):
            assert number <= self.model.burst + (slot_us - begun_us) / self.model.interval_us

    def next_look_ms(self) -> float:
        now_ms = self.bucket.now_us // 1000
        pollers = self.redis.zrangebyscore(
            keys.pollers("default"), now_ms - DEAD_MS + 1, "+inf", withscores=True
        )
        assert pollers
        return pollers[0][1]

    # How attempts end

    def a_token(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.model.running)))

    @rule(data=st.data())
    @precondition(lambda self: self.model.running)
    def finish(self, data: st.DataObject) -> None:
        token = self.a_token(data)
        self.bucket.leases.complete(
            AttemptReport(token, "work"), "finished", now_us=self.bucket.now_us
        )
        self.model.finish(token, self.bucket.now_us)

    @rule(data=st.data())
    @precondition(lambda self: self.model.running)
    def give_back_before_the_slot(self, data: st.DataObject) -> None:
        token = self.a_token(data)
        self.bucket.leases.give_back(AttemptReport(token, "work"), "", now_us=self.bucket.now_us)
        self.model.give_back(token, started=False)

    @rule(data=st.data(), hold_us=st.one_of(st.just(0), a_while))
    @precondition(lambda self: self.model.running)
    def hold(self, data: st.DataObject, hold_us: int) -> None:
        token, now_us = self.a_token(data), self.bucket.now_us
        self.bucket.leases.give_back(
            AttemptReport(token, "work"), "rate_limited", hold=Hold(hold_us), now_us=now_us
        )
        self.model.refuse(token, hold_us, now_us)

    @rule(hold_us=st.sampled_from([0, SECOND_US]), times=st.integers(1, 6))
    def refuse_the_same_again_and_again(self, hold_us: int, times: int) -> None:
        victim = None
        for _ in range(times):
            self.bucket.now_us = max(self.bucket.now_us, self.model.held_until_us)
            self.ask(WORKERS[0])
            token = f"token-{self.asked:05}"
            claim = self.model.running.get(token)
            if claim is None or victim not in (None, claim.id):
                return
            victim, now_us = claim.id, max(self.bucket.now_us, claim.slot_us)
            self.bucket.now_us = now_us
            self.bucket.leases.give_back(
                AttemptReport(token, "work"), "rate_limited", hold=Hold(hold_us), now_us=now_us
            )
            self.model.refuse(token, hold_us, now_us)

    @rule(data=st.data(), delay_us=st.one_of(st.just(0), a_while))
    @precondition(lambda self: self.model.running)
    def retry(self, data: st.DataObject, delay_us: int) -> None:
        token, now_us = self.a_token(data), self.bucket.now_us
        self.bucket.leases.give_back(
            AttemptReport(token, "work"), "retrying", delay_us=delay_us, now_us=now_us
        )
        self.model.retry(token, delay_us, now_us)

    # What operators do

    @rule(rate=st.sampled_from(RATES), burst=st.sampled_from([1, 1, 2, 5]))
    def set_rate(self, rate: str, burst: int) -> None:
        parsed = Rate.parse(f"{rate} burst {burst}")
        self.bucket.set(rate=parsed)
        self.model.interval_us, self.model.burst = parsed.interval_us, burst
        self.slots.clear()

    @rule(number=st.sampled_from([None, 1, 2]))
    def limit_running(self, number: int | None) -> None:
        self.bucket.set(max_running=number)
        self.model.max_running = number or 0

    @rule()
    def pause_or_resume(self) -> None:
        self.model.paused = not self.model.paused
        self.bucket.set(paused=self.model.paused)

    @rule()
    def suspend_or_resume_rq(self) -> None:
        self.model.suspended = not self.model.suspended
        if self.model.suspended:
            self.redis.set("rq:suspended", 1)
        else:
            self.redis.delete("rq:suspended")

    # What time does

    @rule(us=a_while)
    def let_time_go_by(self, us: int) -> None:
        self.bucket.now_us += us

    @rule()
    def go_on_to_the_next_look(self) -> None:
        looks = self.redis.zrange(keys.pollers("default"), 0, 0, withscores=True)
        if looks:
            self.bucket.now_us = max(self.bucket.now_us, int(looks[0][1]) * 1000)

    @rule(us=st.one_of(st.integers(0, 200_000), a_while))
    def set_the_clock_back(self, us: int) -> None:
        self.bucket.now_us -= us
        self.slots.clear()


def check(machine: Callable[[], LeakMachine], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.fixture(params=["usual", "small"])
def limits(request, monkeypatch) -> Iterator[None]:
    """Make the scripts' limits so small that short stories get beyond them."""
    if request.param == "small":
        smaller = {"CLOSE": 1, "NEAR": 2, "DROPPED_AT_ONCE": 3, "SURVEYED_AT_ONCE": 4}
        whole, made_smaller = lua_script.script_text, set()

        @cache
        def text_with_small_limits(package: str, name: str) -> str:
            text = whole(package, name)
            for limit, value in smaller.items():
                text, found = re.subn(
                    rf"^(local {limit} =) \d+", rf"\1 {value}", text, flags=re.MULTILINE
                )
                made_smaller.update([limit] * found)
            return text

        monkeypatch.setattr(lua_script, "script_text", text_with_small_limits)
        yield
        assert made_smaller == smaller.keys()
    else:
        yield


def test_the_scripts_do_what_the_model_does(redis, limits):
    check(lambda: LeakMachine(redis), examples=8, steps=40)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_scripts_do_what_the_model_does_for_long(redis, limits):
    check(lambda: LeakMachine(redis), examples=40, steps=80)
