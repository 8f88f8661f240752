"""The answer of the door to one request."""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from .rule_cost import RuleCheck


class RuleState(NamedTuple):
    """What a client has left of one rule after a decision.

    Attributes:
        check: The check of the rule.
        admits: Whether this rule alone lets the request pass.
        level: Units left.
        pending_us: Microseconds that a window stays open, or until a bucket earns again.
    """

    check: RuleCheck
    admits: bool
    level: int
    pending_us: int

    @property
    def refuses(self) -> bool:
        """Whether the request is refused because of this rule."""
        return not self.admits and self.check.rule_cost.rule.enforced

    @property
    def remaining(self) -> int:
        """Requests of this cost that the rule alone would admit now."""
        return self.level // self.check.rule_cost.price

    @property
    def more_in_us(self) -> int | None:
        """Microseconds until it admits more than that; None: it never will."""
        rule_cost = self.check.rule_cost
        wanted = (self.level // rule_cost.price + 1) * rule_cost.price
        if wanted > rule_cost.full:
            return None
        return rule_cost.limit.wait_us(self.level, self.pending_us, wanted)

    @property
    def wait_us(self) -> int:
        """Microseconds until it admits the request; until it admits the most that it ever does."""
        rule_cost = self.check.rule_cost
        if rule_cost.unpayable and self.level < rule_cost.full:
            return rule_cost.limit.wait_us(self.level, self.pending_us, rule_cost.full)
        return self.more_in_us or 0

    def after(self, elapsed_us: int) -> "RuleState":
        """Return the state later, if nothing is spent until then."""
        limit = self.check.rule_cost.limit
        level, pending_us = limit.after(self.level, self.pending_us, elapsed_us)
        return self._replace(level=level, pending_us=pending_us)

    def spent(self) -> "RuleState":
        """Return the state once the price is spent, if the rule admits it."""
        if not self.admits:
            return self
        rule_cost = self.check.rule_cost
        level, pending_us = rule_cost.limit.spent(self.level, self.pending_us, rule_cost.price)
        return self._replace(level=level, pending_us=pending_us)


class Verdict(Enum):
    """What happens to a request."""

    ADMITTED = "admitted"
    REFUSED = "refused"
    """A quota is used up."""
    BANNED = "banned"
    """An operator has banned the client."""
    FORBIDDEN = "forbidden"
    """A rule's ``deny`` holds the address."""
    UNDECIDED = "undecided"
    """The server is away, and a rule's ``on_error`` is ``deny``."""


class Decision(NamedTuple):
    """What happens to one request, and what to tell the client.

    Attributes:
        verdict: What happens.
        states: What the client has left of the rules that were checked.
        violated: Checks of the rules that refuse; none if an operator banned the client.
        unasked: Checks that were not made, because the server is away.
        shadowed: Checks of rules in shadow mode whose ``deny`` holds the address.
        wait_us: Microseconds until the same request passes, if nobody spends the quota.
        cached: Known from an earlier refusal, without asking the server.
        failed_open: Admitted although the server could not be asked.
    """

    verdict: Verdict
    states: tuple[RuleState, ...] = ()
    violated: tuple[RuleCheck, ...] = ()
    unasked: tuple[RuleCheck, ...] = ()
    shadowed: tuple[RuleCheck, ...] = ()
    wait_us: int = 0
    cached: bool = False
    failed_open: bool = False

    @classmethod
    def of(cls, states: Iterable[RuleState]) -> "Decision":
        """Decide: the request passes if none of the rules refuses."""
        states = tuple(states)
        refusing = [state for state in states if state.refuses]
        if not refusing:
            return cls(Verdict.ADMITTED, states)
        return cls(
            Verdict.REFUSED,
            states,
            violated=tuple(state.check for state in refusing),
            wait_us=max(state.wait_us for state in refusing),
        )

    def after(self, elapsed_us: int) -> "Decision":
        """Return the same refusal as it is to be told later."""
        return self._replace(
            states=tuple(state.after(elapsed_us) for state in self.states),
            wait_us=max(0, self.wait_us - elapsed_us),
            cached=True,
        )
