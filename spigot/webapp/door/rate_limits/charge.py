"""What a request costs, by rule and by client."""

from struct import Struct
from typing import NamedTuple

from .fixed_window import FixedWindow
from .rule import Rule
from .token_bucket import TokenBucket

RULE = Struct(">BBdddd")
"""How ``decide.lua`` is told of a rule."""


class Charge:
    """What like requests cost one rule; compared by identity.

    Args:
        rule: The rule.
        cost: More than the whole quota, which could never be paid, is the whole quota.
        limit: The rule's, or the share of it that one process decides by; None: the rule's.

    Attributes:
        price: The cost in units.
        full: Units there are when nothing is spent.
    """

    def __init__(
        self, rule: Rule, cost: int, limit: TokenBucket | FixedWindow | None = None
    ) -> None:
        self.rule = rule
        self.limit = limit or rule.limit
        self.cost = min(cost, self.limit.quota)
        self.price = self.limit.price(self.cost)
        self.full = self.limit.full

    def packed(self) -> bytes:
        """Return what ``decide.lua`` is told."""
        limit = self.limit
        numbers = self.full, self.price, limit.pace, limit.token
        return RULE.pack(limit.number, self.rule.enforced, *numbers)


class Check(NamedTuple):
    """What a request asks of one rule.

    Attributes:
        charge: The rule, and what the request costs it.
        client: Whom the rule counts.
        key: Where the server keeps what that client has left of the rule.
    """

    charge: Charge
    client: str
    key: str

    @classmethod
    def of(cls, charge: Charge, client: str, key_prefix: str = "") -> "Check":
        """Charge a client."""
        return cls(charge, client, key_prefix + charge.rule.states + client)

    @property
    def rule(self) -> Rule:
        """The rule that is asked."""
        return self.charge.rule
