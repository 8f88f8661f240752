"""What is spent and held of a bucket's budgets, as clients and operators see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from .amounts import MICRO, plain
from .budget import Budget, Counted, from_text
from .limit import Limit


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget at one moment.

    Attributes:
        limit: As it was written.
        window: How long the downstream counts before it begins anew; None if it refills steadily.
        counted: When the downstream counts a job: ``at_start``, or at an ``unknown`` moment.
        burst: What may be spent at once.
        cost: What each job costs that says nothing else; None if job types must say it.
        level: What was spent and has not drained yet.
        held: What running jobs have reserved.
        reserved_mean: What recent jobs reserved, on the mean; None if none did.
        used_mean: What recent jobs said that they used, on the mean; None if none said it.
    """

    limit: str
    window: str | None
    counted: Counted
    burst: float
    cost: float | None
    level: float
    held: float
    reserved_mean: float | None
    used_mean: float | None

    @property
    def limit_per_second(self) -> float:
        """The limit as a number."""
        limit = Limit.parse(self.limit)
        return limit.count * 1_000_000 / limit.period_us


def budget_states(text: str, stored: Mapping[str, int], now_us: int) -> dict[str, BudgetState]:
    """Return the state of each budget.

    Args:
        text: Their lines.
        stored: What ``budgets.lua`` keeps of them.
        now_us: Unix microseconds.
    """
    return {name: _state(budget, stored, now_us) for name, budget in from_text(text).items()}


def _state(budget: Budget, stored: Mapping[str, int], now_us: int) -> BudgetState:
    name = budget.name
    drained = max(0, now_us - stored.get(f"{name}:at_us", now_us)) * budget.drain
    level = max(0, stored.get(f"{name}:level", 0) - drained)
    return BudgetState(
        limit=budget.limit.text,
        window=budget.window.text if budget.window else None,
        counted=budget.counted,
        burst=budget.burst,
        cost=None if budget.cost is None else plain(budget.cost),
        level=plain(int(Fraction(level * MICRO, budget.unit))),
        held=plain(max(0, stored.get(f"{name}:held", 0))),
        reserved_mean=_mean(stored.get(f"{name}:mean")),
        used_mean=_mean(stored.get(f"{name}:used")),
    )


def _mean(amount: int | None) -> float | None:
    return None if amount is None else plain(amount)
