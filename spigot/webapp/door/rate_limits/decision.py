"""The answer of the door to one request."""

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from .charge import Check


class Standing(NamedTuple):
    """How a client stands with one rule after a decision.

    Attributes:
        check: What was asked of the rule.
        admits: Whether this rule alone lets the request pass.
        level: Units left.
        pending_us: Microseconds that a window stays open, or until a bucket earns again.
    """

    check: Check
    admits: bool
    level: int
    pending_us: int

    @property
    def refuses(self) -> bool:
        """Whether the request is refused because of this rule."""
        return not self.admits and self.check.charge.rule.enforced

    @property
    def remaining(self) -> int:
        """Requests of this cost that the rule alone would admit now."""
        return self.level // self.check.charge.price

    @property
    def more_in_us(self) -> int | None:
        """Microseconds until it admits more than that; None: it never will."""
        charge = self.check.charge
        wanted = (self.level // charge.price + 1) * charge.price
        if wanted > charge.full:
            return None
        return charge.limit.wait_us(self.level, self.pending_us, wanted)

    def after(self, elapsed_us: int) -> "Standing":
        """Return how the client stands later, if nothing is spent until then."""
        limit = self.check.charge.limit
        level, pending_us = limit.after(self.level, self.pending_us, elapsed_us)
        return self._replace(level=level, pending_us=pending_us)

    def spent(self) -> "Standing":
        """Return how the client stands once it has spent the price, if the rule admits it."""
        if not self.admits:
            return self
        charge = self.check.charge
        level, pending_us = charge.limit.spent(self.level, self.pending_us, charge.price)
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
        standings: How the client stands with the rules that were asked.
        violated: What was asked of the rules that refuse; none if an operator banned the client.
        unasked: What nobody could be asked, because the server is away.
        shadowed: What was asked of rules in shadow mode whose ``deny`` holds the address.
        wait_us: Microseconds until the same request passes, if nobody spends the quota.
        cached: Known from an earlier refusal, without asking the server.
        failed_open: Admitted although the server could not be asked.
    """

    verdict: Verdict
    standings: tuple[Standing, ...] = ()
    violated: tuple[Check, ...] = ()
    unasked: tuple[Check, ...] = ()
    shadowed: tuple[Check, ...] = ()
    wait_us: int = 0
    cached: bool = False
    failed_open: bool = False

    @classmethod
    def of(cls, standings: Iterable[Standing]) -> "Decision":
        """Decide: the request passes if none of the rules refuses."""
        standings = tuple(standings)
        refusing = [standing for standing in standings if standing.refuses]
        if not refusing:
            return cls(Verdict.ADMITTED, standings)
        return cls(
            Verdict.REFUSED,
            standings,
            violated=tuple(standing.check for standing in refusing),
            wait_us=max(standing.more_in_us or 0 for standing in refusing),
        )

    def after(self, elapsed_us: int) -> "Decision":
        """Return the same refusal as it is to be told later."""
        return self._replace(
            standings=tuple(standing.after(elapsed_us) for standing in self.standings),
            wait_us=max(0, self.wait_us - elapsed_us),
            cached=True,
        )
