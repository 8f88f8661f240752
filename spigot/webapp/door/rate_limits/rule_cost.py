"""What a request costs, by rule and by client."""

from struct import Struct
from typing import NamedTuple

from .fixed_window import FixedWindow
from .rule import Rule
from .token_bucket import TokenBucket

RULE = Struct(">BBdddd")
"""How ``decide.lua`` is told of a rule."""


class RuleCost:
    """The cost of a request under one rule.

    ``Rules`` caches it by rule and cost, so that ``is`` means equal.

    Args:
        rule: The rule.
        cost: More than the whole quota, which could never be paid, is the whole quota.
        limit: The rule's, or the share of it that one process decides by; None: the rule's.
        requests: As how many requests it counts, >= 1; of more than one, all are paid or none.

    Attributes:
        unpayable: Whether so many requests cost more than the whole quota.
        price: The cost in units.
        full: Units there are when nothing is spent.
    """

    def __init__(
        self,
        rule: Rule,
        cost: int,
        limit: TokenBucket | FixedWindow | None = None,
        requests: int = 1,
    ) -> None:
        self.rule = rule
        self.limit = limit or rule.limit
        whole = min(cost, rule.limit.quota) * requests
        self.unpayable = whole > rule.limit.quota
        self._given = cost, requests
        self.cost = whole if self.unpayable else min(whole, self.limit.quota)
        self.price = self.limit.price(self.cost)
        self.full = self.limit.full

    def by(self, limit: TokenBucket | FixedWindow) -> "RuleCost":
        """Return the same cost where a share of the limit decides."""
        cost, requests = self._given
        return RuleCost(self.rule, cost, limit, requests)

    def packed(self) -> bytes:
        """Return what ``decide.lua`` is told."""
        limit = self.limit
        numbers = self.full, self.price, limit.pace, limit.token
        return RULE.pack(limit.number, self.rule.enforced, *numbers)


class RuleCheck(NamedTuple):
    """Whether one rule lets a client spend a cost.

    Attributes:
        rule_cost: The rule, and what the request costs it.
        client: Whom the rule counts.
        state_key: Where the server keeps what that client has left of the rule.
    """

    rule_cost: RuleCost
    client: str
    state_key: str

    @classmethod
    def of(cls, rule_cost: RuleCost, client: str, key_prefix: str = "") -> "RuleCheck":
        """Return what a client is asked for."""
        return cls(rule_cost, client, key_prefix + rule_cost.rule.state_prefix + client)

    @property
    def rule(self) -> Rule:
        """The rule."""
        return self.rule_cost.rule
