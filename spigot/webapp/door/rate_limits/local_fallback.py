"""Decides in one process alone while the server is away.

Every process keeps its share of each limit, the same numbers divided by the web processes, so
that together they admit about what the server would. They admit more in three ways: a share is
full when the server goes, whatever was spent before; it is at least one request; and a client
that is not among the most recent ones begins with a full share.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from threading import Lock

from .decision import Decision, RuleState, Verdict
from .rule_cost import RuleCheck

MAX_CLIENTS = 10_000
RETRY_US = 1_000_000
"""The wait that a client is told whose rule denies; the server may be back by then."""


class LocalFallback:
    """The shares of one process, of at most the ``MAX_CLIENTS`` most recent clients.

    Args:
        processes: Web processes that share each limit, >= 1.
        monotonic_us: Clock in microseconds.
    """

    def __init__(self, processes: int, monotonic_us: Callable[[], int]) -> None:
        self._processes = processes
        self._monotonic_us = monotonic_us
        self._spent: OrderedDict[Hashable, tuple[int, int, int]] = OrderedDict()
        self._lock = Lock()

    def decide(self, checks: Sequence[RuleCheck]) -> Decision:
        """Decide a request as the ``on_error`` of its rules says."""
        denying = [c for c in checks if c.rule.on_error == "deny" and c.rule.enforced]
        if denying:
            return Decision(Verdict.UNDECIDED, violated=tuple(denying), wait_us=RETRY_US)
        local = [check for check in checks if check.rule.on_error == "local"]
        unasked = tuple(check for check in checks if check.rule.on_error != "local")
        decision = self.spend(local)
        failed_open = decision.verdict is Verdict.ADMITTED
        return decision._replace(unasked=unasked, failed_open=failed_open)

    def spend(self, checks: Sequence[RuleCheck]) -> Decision:
        """Spend from every rule, or from none if one refuses."""
        with self._lock:
            return self._spend(checks, self._monotonic_us())

    def _spend(self, checks: Sequence[RuleCheck], now_us: int) -> Decision:
        decision = Decision.of(self._look(check, now_us) for check in checks)
        if decision.verdict is not Verdict.ADMITTED:
            return decision
        states = tuple(state.spent() for state in decision.states)
        for check, _, level, pending_us in states:
            entry = check.state_key, check.rule_cost.limit
            self._spent[entry] = level, pending_us, now_us
            self._spent.move_to_end(entry)
        while len(self._spent) > MAX_CLIENTS:
            self._spent.popitem(last=False)
        return decision._replace(states=states)

    def _look(self, check: RuleCheck, now_us: int) -> RuleState:
        limit = check.rule.limit.share(self._processes)
        rule_cost = check.rule_cost.by(limit)
        entry = check.state_key, limit
        level, pending_us, at_us = self._spent.get(entry, (limit.full, 0, now_us))
        level, pending_us = limit.after(level, pending_us, now_us - at_us)
        check = check._replace(rule_cost=rule_cost)
        return RuleState(check, rule_cost.price <= level, level, pending_us)
