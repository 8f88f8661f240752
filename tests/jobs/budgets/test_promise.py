"""The scripts against budgets in exact arithmetic, whatever jobs cost, use and end by."""

from fractions import Fraction
from itertools import combinations

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

from spigot.jobs.bucket.claim_answers import Claim
from spigot.jobs.budgets.amounts import MICRO
from spigot.jobs.budgets.budget import Budget, from_text
from spigot.jobs.store import keys
from spigot.worker.leases.attempt_report import AttemptReport
from spigot.worker.running.usage_writer import UsageReport
from tests.support.budget_model import BudgetModel, Running
from tests.support.clocked_bucket import SECOND_US, ClockedBucket

CLAIM_AHEAD_US = 50_000
INTERVAL_US = 10_000

KINDS = [
    {"tokens": {"limit": "600/m", "burst": 30, "counted": "at_start"}},
    {"tokens": {"limit": "700/m", "burst": 20}},
    {
        "tokens": {"limit": "7000/m", "burst": 70, "counted": "at_start"},
        "output": {"limit": "999/m", "burst": 40, "counted": "unknown"},
    },
    {"window": {"limit": "600/m", "window": "10s", "burst": 20, "counted": "at_start"}},
    {"jobs": {"limit": "700/m", "burst": 3, "cost": 1}, "tokens": {"limit": "90/s", "burst": 30}},
]
"""Budgets of each kind; what a job costs is drawn from 0 to their bursts."""

LIMITS = ["100/m", "600/m", "3000/m", "7777/h"]
a_while = st.sampled_from([0, 1, 9_999, 50_000, 200_000, SECOND_US, 3 * SECOND_US, 20 * SECOND_US])
shares = st.sampled_from([Fraction(n, 4) for n in range(5)])


class BudgetMachine(RuleBasedStateMachine):
    """Does the same to a bucket on the server and to its model.

    Args:
        redis: The server.
        kind: Budgets of the bucket.
        steady: Whether nobody changes a limit, so that the promise can be held all along.
    """

    def __init__(self, redis: Redis, kind: dict[str, dict[str, object]], steady: bool) -> None:
        super().__init__()
        redis.flushall()
        self.redis, self.steady = redis, steady
        self.bucket = ClockedBucket(redis, "100/s", capacity=1000, budgets=kind)
        self.usage = UsageReport(redis)
        self.now0 = self.bucket.now_us
        self.models: dict[str, BudgetModel] = {}
        for name, config in self.bucket.configs["default"].budgets.items():
            budget = Budget.of(name, config)
            rate = Fraction(budget.drain, budget.unit)
            self.models[name] = BudgetModel(rate, budget.burst, budget.counted == "at_start")
        self.needing = [n for n, c in self.bucket.configs["default"].budgets.items() if not c.cost]
        self.waiting: dict[str, list[tuple[str, dict[str, Fraction]]]] = {"high": [], "default": []}
        self.running: dict[str, tuple[Claim, Running]] = {}
        self.attempts: list[Running] = []
        self.last_slot_us = 0
        self.count = self.asked = 0

    @initialize()
    def fill(self) -> None:
        for share in (Fraction(1, 2), Fraction(1), Fraction(1, 4)):
            self.put("default", share)

    def put(self, priority: str, share: Fraction) -> None:
        self.count += 1
        id = f"job-{self.count:04}"
        costs = {name: share * self.models[name].burst for name in self.needing}
        given = {name: float(cost) for name, cost in costs.items()}
        self.bucket.enqueue(id, priority=priority, cost=given)
        costs |= {name: Fraction(1) for name in self.models if name not in self.needing}
        self.waiting[priority].append((id, costs))

    @rule(priority=st.sampled_from(["default", "default", "high"]), share=shares)
    def enqueue(self, priority: str, share: Fraction) -> None:
        self.put(priority, share)

    def expected(self) -> tuple[str, str, dict[str, Fraction], int] | None:
        """Return the job that starts now, and its slot."""
        now_us = self.bucket.now_us
        priority = next((p for p, jobs in self.waiting.items() if jobs), None)
        slot_us = max(now_us, self.last_slot_us + INTERVAL_US)
        if priority is None or slot_us - now_us > CLAIM_AHEAD_US:
            return None
        id, costs = self.waiting[priority][0]
        ready = [self.models[name].ready_us(cost, slot_us) for name, cost in costs.items()]
        if None in ready or max(slot_us, *ready) - now_us > CLAIM_AHEAD_US:
            return None
        return priority, id, costs, max(slot_us, *ready)

    @rule()
    def ask(self) -> None:
        self.asked += 1
        token = f"token-{self.asked:05}"
        expected = self.expected()
        answer = self.bucket.ask(token=token)
        if expected is None:
            assert not isinstance(answer, Claim), answer
            return
        priority, id, costs, slot_us = expected
        assert isinstance(answer, Claim), (answer, expected)
        assert (answer.job_id, answer.slot_us) == (id, slot_us)
        self.waiting[priority].pop(0)
        self.last_slot_us = slot_us
        held = {name: not model.at_start for name, model in self.models.items()}
        for name, cost in costs.items():
            self.models[name].reserve(cost, slot_us)
        running = Running(slot_us, costs, held)
        self.attempts.append(running)
        self.running[token] = answer, running

    @rule(times=st.integers(2, 8))
    def ask_until_the_next_starts(self, times: int) -> None:
        for _ in range(times):
            self.ask()
            looks = self.redis.zrange(keys.pollers("default"), 0, 0, withscores=True)
            if looks:
                self.bucket.now_us = max(self.bucket.now_us, int(looks[0][1]) * 1000)

    def pop_running(self, data: st.DataObject) -> tuple[Claim, Running]:
        return self.running.pop(data.draw(st.sampled_from(sorted(self.running))))

    def settle(self, running: Running, used: dict[str, Fraction] | None) -> None:
        now_us = self.bucket.now_us
        for name, model in self.models.items():
            model.settle(running, name, None if used is None else used[name], now_us)
        running.end_us = max(now_us, running.slot_us)
        running.used = used or dict.fromkeys(self.models, Fraction(0))

    @rule(data=st.data(), share=st.sampled_from([None, *(Fraction(n, 2) for n in range(4))]))
    @precondition(lambda self: self.running)
    def finish(self, data: st.DataObject, share: Fraction | None) -> None:
        claim, running = self.pop_running(data)
        self.bucket.now_us = max(self.bucket.now_us, running.slot_us)
        used = self.used_by(running, share)
        is_told = share is not None or running.charged != running.costs
        self.bucket.finish(claim, used=as_text(used) if is_told else "")
        self.settle(running, used)

    def used_by(self, running: Running, share: Fraction | None) -> dict[str, Fraction]:
        """Return what it has used: a share of what it reserved, or all that it reported if more."""
        used = {n: cost if share is None else share * cost for n, cost in running.costs.items()}
        if running.charged == running.costs:
            return used
        return {n: max(amount, running.charged[n]) for n, amount in used.items()}

    @rule(data=st.data(), share=st.sampled_from([Fraction(n, 2) for n in range(6)]))
    @precondition(lambda self: self.running)
    def report(self, data: st.DataObject, share: Fraction) -> None:
        token = data.draw(st.sampled_from(sorted(self.running)))
        _, running = self.running[token]
        self.bucket.now_us = max(self.bucket.now_us, running.slot_us)
        used = self.used_by(running, share)
        assert self.usage.write(token, as_text(used), now_us=self.bucket.now_us)
        for name, model in self.models.items():
            model.overuse(running, name, used[name], self.bucket.now_us)

    @rule(data=st.data(), started=st.booleans())
    @precondition(lambda self: self.running)
    def fail(self, data: st.DataObject, started: bool) -> None:
        claim, running = self.pop_running(data)
        started = started or running.charged != running.costs  # it has reported
        if started:
            self.bucket.now_us = max(self.bucket.now_us, running.slot_us)
        report = AttemptReport(claim.token, "work", error="E", late_us=0 if started else None)
        self.bucket.leases.complete(report, "failed", now_us=self.bucket.now_us)
        self.settle(running, dict(running.charged) if started else None)

    @rule(data=st.data())
    @precondition(lambda self: any(r.charged == r.costs for _, r in self.running.values()))
    def give_back(self, data: st.DataObject) -> None:
        silent = [token for token, (_, r) in self.running.items() if r.charged == r.costs]
        claim, running = self.running.pop(data.draw(st.sampled_from(sorted(silent))))
        self.bucket.give_back_unstarted(claim)
        queue = self.waiting["high" if claim.queue.endswith("high") else "default"]
        stored = self.redis.lrange(keys.queue(claim.queue), 0, -1)
        queue.insert(stored.index(claim.job_id.encode()), (claim.job_id, running.costs))
        self.settle(running, None)

    @rule()
    @precondition(lambda self: self.running)
    def reap(self) -> None:
        for _ in range(9):
            self.bucket.reap()
            self.bucket.now_us += 2 * SECOND_US
            ended = [t for t in self.running if not self.redis.exists(keys.lease(t))]
            for token in ended:
                _, running = self.running.pop(token)
                now_us, self.bucket.now_us = self.bucket.now_us, self.bucket.now_us - 2 * SECOND_US
                self.settle(running, dict(running.charged))
                self.bucket.now_us = now_us
        for priority, queue in (("high", "default-high"), ("default", "default")):
            ids = [id.decode() for id in self.redis.lrange(keys.queue(queue), 0, -1)]
            self.waiting[priority] = [(id, self.costs_of(id)) for id in ids]

    def costs_of(self, id: str) -> dict[str, Fraction]:
        text = self.redis.hget(keys.job(id), "spigot_cost").decode()
        costs = dict(entry.split("=") for entry in text.split())
        stated = {name: Fraction(int(costs[name]), MICRO) for name in self.needing}
        return stated | {n: Fraction(1) for n in self.models if n not in self.needing}

    @rule(limit=st.sampled_from(LIMITS), burst=st.sampled_from([None, 5, 25, 100]))
    @precondition(lambda self: not self.steady)
    def change(self, limit: str, burst: int | None) -> None:
        name = sorted(self.models)[0]
        if self.bucket.configs["default"].budgets[name].window:
            return
        budgets = {name: {"limit": limit} | ({"burst": burst} if burst else {})}
        self.bucket.set(budgets=budgets)
        number, _, unit = limit.partition("/")
        rate = Fraction(int(number), {"m": 60, "h": 3600}[unit] * SECOND_US)
        model = self.models[name]
        model.change(rate, burst or model.burst, self.bucket.now_us)
        self.take_rounding_over(name, model)

    def take_rounding_over(self, name: str, model: BudgetModel) -> None:
        """Know that what was spent is counted in other units now, and so is rounded, up."""
        line = self.redis.hget(keys.bucket("default"), "budgets").decode()
        unit = from_text(line)[name].unit
        level = int(self.redis.hget(keys.budgets("default"), f"{name}:level") or 0)
        stored = Fraction(level, unit)
        assert abs(stored - model.level) <= Fraction(2, unit)
        model.level = stored

    @rule(us=a_while)
    def let_time_go_by(self, us: int) -> None:
        self.bucket.now_us += us

    @invariant()
    def holds_what_the_living_leases_hold(self) -> None:
        stored = self.redis.hgetall(keys.budgets("default"))
        for name, model in self.models.items():
            held = sum(r.charged[name] for _, r in self.running.values() if r.held[name])
            assert int(stored.get(f"{name}:held".encode(), 0)) == held * MICRO == model.held * MICRO

    @invariant()
    def has_spent_what_the_model_has(self) -> None:
        stored = self.redis.hgetall(keys.budgets("default"))
        units = from_text(self.redis.hget(keys.bucket("default"), "budgets").decode())
        for name, model in self.models.items():
            level = int(stored.get(f"{name}:level".encode(), 0))
            at_us = int(stored.get(f"{name}:at_us".encode(), 0))
            assert Fraction(level, units[name].unit) == model.level, name
            assert at_us == model.at_us

    @invariant()
    def lets_no_window_hold_more_than_promised(self) -> None:
        if not self.steady or not self.attempts:
            return
        for name, model in self.models.items():
            spans = [span(attempt, name, model.at_start) for attempt in self.attempts]
            moments = sorted({moment for begin, end, _, _ in spans for moment in (begin, end)})
            for begin_us, end_us in [*combinations(moments[-12:], 2), *((m, m) for m in moments)]:
                within = [it for it in spans if it[0] <= end_us and it[1] >= begin_us]
                excess = sum(extra for *_, extra in within)
                allowed = model.burst + model.rate * (end_us - begin_us) + excess
                assert sum(amount for _, _, amount, _ in within) <= allowed


def as_text(amounts: dict[str, Fraction]) -> str:
    return " ".join(f"{name}={int(amount * MICRO)}" for name, amount in amounts.items())


def span(attempt: Running, name: str, at_start: bool) -> tuple[int, int, Fraction, Fraction]:
    """Return from when to when the downstream may count an attempt, how much, and beyond it."""
    cost = attempt.costs[name]
    running = attempt.end_us is None
    used = attempt.charged[name] if running else attempt.used[name]
    end_us = attempt.slot_us if at_start else attempt.end_us or 2**62
    return attempt.slot_us, end_us, used, max(Fraction(0), used - cost)


def check(redis: Redis, kind: dict[str, dict[str, object]], steady: bool, examples: int) -> None:
    run_state_machine_as_test(
        lambda: BudgetMachine(redis, kind, steady),
        settings=settings(
            max_examples=examples,
            stateful_step_count=40,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("kind", KINDS, ids=["at start", "unknown", "both", "window", "jobs"])
def test_no_window_holds_more_than_burst_and_rate(redis, kind):
    check(redis, kind, steady=True, examples=5)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS[:3], ids=["at start", "unknown", "both"])
def test_a_changed_limit_counts_at_once(redis, kind):
    check(redis, kind, steady=False, examples=5)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("steady", [True, False])
@pytest.mark.parametrize("kind", KINDS, ids=["at start", "unknown", "both", "window", "jobs"])
def test_the_promise_for_long(redis, kind, steady):
    check(redis, kind, steady, examples=20)
