"""What an attempt knows of its bucket's budgets, by which it sees what must be told at once."""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from spigot.jobs.store.stored_values import stored_text

from .amounts import MICRO, Amounts
from .budget import Budget, from_text
from .upstream_note import UpstreamNote

RESERVED = re.compile(r"([a-z][a-z0-9_]*):(?:spent|held):(\d{1,17})")
LEFT = re.compile(r"([a-z][a-z0-9_]*):(\d{1,17}):(\d{1,17})")


WORTH_TELLING = 0.01
"""What part of a limit must be gone beyond what is known, to be worth a round trip at once."""


@dataclass(frozen=True, slots=True)
class UpstreamLeft:
    """What a downstream is known to have left of one of its limits.

    Attributes:
        limit: What it grants in the period of our budget.
        left: What was left of it.
        at: When, on the monotonic clock.
    """

    limit: float
    left: float
    at: float

    def left_now(self, period_seconds: float) -> float:
        """Return what is left by now if it refills steadily."""
        refilled = (time.monotonic() - self.at) * self.limit / period_seconds
        return min(self.limit, self.left + refilled)


@dataclass(frozen=True, slots=True)
class Reserved:
    """What an attempt reserved, the budgets of its bucket, and what their downstreams have left.

    Attributes:
        amounts: What was reserved.
        budgets: By name; none if the bucket has none, or outside of a worker.
        upstream: By name of the budget, as far as something is known.
    """

    amounts: Amounts = field(default_factory=dict)
    budgets: Mapping[str, Budget] = field(default_factory=dict)
    upstream: dict[str, UpstreamLeft] = field(default_factory=dict)

    @classmethod
    def of_claim(cls, fields: Mapping[bytes, bytes]) -> "Reserved":
        """Read what ``leak.lua`` told with a claim."""
        told = [fields.get(name, b"") for name in (b"reserved", b"budgets", b"upstream_left")]
        if not any(told):  # of a bucket without budgets, as most are
            return cls()
        reserved, budgets, left = map(stored_text, told)
        now = time.monotonic()
        return cls(
            {name: int(amount) for name, amount in RESERVED.findall(reserved)},
            from_text(budgets),
            {
                name: UpstreamLeft(int(limit) / MICRO, int(rest) / MICRO, now)
                for name, limit, rest in LEFT.findall(left)
            },
        )

    def is_exceeded_by(self, used: Amounts) -> bool:
        """Return whether more was used than was reserved, of any budget."""
        return any(
            used.get(name, 0) > amount for name, amount in self.amounts.items() if name in used
        )

    def is_tightened_by(self, note: UpstreamNote) -> bool:
        """Return whether a note lets the next job start later than what is known does.

        It does if the downstream grants less than is known, or if it has less left than our burst,
        and than it was known to have: with more than the burst left, our own budget is narrower.
        """
        budget = self._budget_of(note)
        if budget is None:
            return False
        known = self.upstream.get(budget.name)
        if note.limit < (known.limit if known else budget.limit.count):
            return True
        if known:
            left = known.left_now(budget.limit.period_us / 1_000_000)
            if note.remaining >= left - WORTH_TELLING * known.limit:
                return False
        return note.remaining < budget.burst

    def take(self, note: UpstreamNote) -> None:
        """Know what a note says from now on."""
        budget = self._budget_of(note)
        if budget is not None:
            self.upstream[budget.name] = UpstreamLeft(note.limit, note.remaining, time.monotonic())

    def _budget_of(self, note: UpstreamNote) -> Budget | None:
        return self.budgets.get(note.name) or self.budgets.get(note.name.removesuffix("_tokens"))
