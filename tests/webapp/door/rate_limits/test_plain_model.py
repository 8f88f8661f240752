"""Whatever happens, the server says what the plain model says: never more, and never less."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from spigot.webapp.door.rate_limits.decision import Verdict
from tests.support.clocked_limiter import ClockedLimiter
from tests.support.limiter_model import Bucket, Window
from tests.support.random_rules import BUCKETS, STEPS, WINDOWS, model_numbers

CLIENTS = ["192.0.2.1", "2001:db8::/64"]


class Door(RuleBasedStateMachine):
    """Two clients, a bucket, a window and a rule in shadow mode."""

    def __init__(self, redis):
        super().__init__()
        redis.flushall()
        self._redis = redis
        self._now_us = 0

    @initialize(bucket=BUCKETS, window=WINDOWS, trial=st.one_of(BUCKETS, WINDOWS))
    def open(self, bucket, window, trial):
        self._rules = {"bucket": bucket, "window": window, "trial": {**trial, "mode": "shadow"}}
        self._limiter = ClockedLimiter(self._redis, self._rules)
        self._models = {
            (client, name): (Window if "limit" in written else Bucket)(*model_numbers(written))
            for client in CLIENTS
            for name, written in self._rules.items()
        }

    @rule(step=STEPS)
    def wait(self, step):
        self._now_us += step

    @rule(step=STEPS)
    def set_the_clock_back(self, step):
        self._now_us -= step

    @rule(bucket=BUCKETS, window=WINDOWS)
    def change_the_rules(self, bucket, window):
        self._rules |= {"bucket": bucket, "window": window}
        self._limiter.change(self._rules)
        for client in CLIENTS:
            self._models[client, "bucket"].change(*model_numbers(bucket))
            self._models[client, "window"].change(*model_numbers(window))

    @rule(
        client=st.sampled_from(CLIENTS),
        names=st.lists(st.sampled_from(["bucket", "window", "trial"]), min_size=1, unique=True),
        cost=st.integers(1, 4),
        spend=st.booleans(),
        times=st.integers(1, 5),
    )
    def ask(self, client, names, cost, spend, times):
        cost = min(cost, *(self._quota(name) for name in names), 12)
        for _ in range(times):
            self._ask_once(client, names, cost, spend)

    def _quota(self, name):
        written = self._rules[name]
        return written.get("limit") or written["capacity"]

    def _ask_once(self, client, names, cost, spend):
        models = {name: self._models[client, name] for name in names}
        before = {name: model.look(self._now_us, cost) for name, model in models.items()}
        admitted = all(before[name].admits for name in names if name != "trial")

        decision = self._limiter.ask(self._now_us, client, cost=cost, rules=names, spend=spend)

        for name, model in models.items():
            if spend and admitted and before[name].admits:
                model.spend(self._now_us, cost)
        after = {name: model.look(self._now_us, cost) for name, model in models.items()}
        assert (decision.verdict is Verdict.ADMITTED) == admitted
        assert {s.check.rule.name: s.admits for s in decision.states} == {
            name: answer.admits for name, answer in before.items()
        }
        assert {s.check.rule.name: (s.remaining, s.more_in_us) for s in decision.states} == {
            name: (answer.remaining, answer.more_in_us) for name, answer in after.items()
        }
        if not admitted:
            self._check_the_wait(decision, client, names, cost)

    def _check_the_wait(self, decision, client, names, cost):
        enforced = [name for name in names if name != "trial"]

        def passes(at_us):
            looks = [self._models[client, name].look(at_us, cost) for name in enforced]
            return all(answer.admits for answer in looks)

        assert passes(self._now_us + decision.wait_us)
        assert not passes(self._now_us + decision.wait_us - 1)


@pytest.mark.parametrize("examples", [8, pytest.param(30, marks=pytest.mark.slow)])
def test_the_server_says_what_the_model_says(redis, examples):
    run_state_machine_as_test(
        lambda: Door(redis),
        settings=settings(max_examples=examples, stateful_step_count=40),
    )
