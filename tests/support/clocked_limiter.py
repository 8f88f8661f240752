"""Asks the server for decisions at times that a test chooses."""

from collections.abc import Mapping, Sequence
from typing import Any

from redis import Redis

from spigot.jobs.store.lua_script import load_script
from spigot.webapp.door.rate_limits.decide import script_input, script_output
from spigot.webapp.door.rate_limits.decision import Decision, Verdict
from spigot.webapp.door.rate_limits.rule_cost import RuleCheck, RuleCost
from spigot.webapp.door.rate_limits.rules_text import build_rules

CLIENT = "192.0.2.1"
MS = 1_000
SECOND = 1_000_000
DAY = 86_400 * SECOND
START = 1_757_000_000_123_456
"""A time as real ones are: more digits than Lua prints by itself."""


class ClockedLimiter:
    """Decides by rules that may change, for clients that need not exist.

    Args:
        redis: The server.
        rules: As ``rate_limits.json`` writes them; all of them apply to each request.
        expire: Let keys expire, on the clock of the server, which is not that of the test.
    """

    def __init__(self, redis: Redis, rules: Mapping[str, Any], *, expire: bool = False) -> None:
        self._redis = redis
        self._script = load_script(redis, "spigot.webapp.door.rate_limits", "decide.lua")
        self._expire = expire
        self.change(rules)

    def change(self, rules: Mapping[str, Any]) -> None:
        """Put other rules in force."""
        self._rules = build_rules(rules).by_name

    def ask(
        self,
        now_us: int,
        client: str | Mapping[str, str] = CLIENT,
        *,
        cost: int | None = None,
        rules: Sequence[str] = (),
        names: Sequence[str] = (),
        spend: bool = True,
    ) -> Decision:
        """Decide one request that arrives at ``now_us`` after ``START``.

        Rules may count it as different clients, told by the rule's name.
        """
        asked = [self._rules[name] for name in rules or self._rules]
        clients = dict.fromkeys(self._rules, client) if isinstance(client, str) else client
        checks = [
            RuleCheck.of(RuleCost(rule, cost or rule.cost), clients[rule.name]) for rule in asked
        ]
        script_keys, args = script_input(checks, names, spend=spend, now_us=START + now_us)
        with self._redis.pipeline() as transaction:
            self._script(script_keys, args, client=transaction)
            if not self._expire:
                for check in checks:
                    transaction.persist(check.state_key)
            return script_output(checks, transaction.execute()[0])

    def tell(self, now_us: int, cost: int = 1) -> tuple[bool, int, int | None]:
        """Ask the only rule; return whether it admits, what remains, and the us until more."""
        decision = self.ask(now_us, cost=cost)
        (state,) = decision.states
        admitted = decision.verdict is Verdict.ADMITTED
        assert admitted == state.admits
        return admitted, state.remaining, state.more_in_us
