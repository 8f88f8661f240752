"""What the job types cost, put beside the budgets of their buckets, before any job is taken in."""

from collections.abc import Iterable, Mapping

from .amounts import MICRO
from .budget import Budget, BudgetConfig
from .declared_cost import Budgets, DeclaredCost


def with_largest_costs(budgets: Budgets, costs: Iterable[DeclaredCost]) -> dict[str, BudgetConfig]:
    """Set each burst that nobody set, so that the most costly job type fits.

    Args:
        budgets: Those of one bucket.
        costs: Those of the job types of this bucket.

    Raises:
        InvalidCost: A job type's cost cannot be used with these budgets.
    """
    largest: dict[str, int] = {}
    for declared in costs:
        for name, amount in declared.check(budgets).items():
            largest[name] = max(largest.get(name, 0), amount)
    return {name: _with_burst(name, budget, largest) for name, budget in budgets.items()}


def too_costly(budgets: Budgets, costs: Iterable[DeclaredCost]) -> list[str]:
    """Say which job types cost more than a budget ever holds: their jobs are all refused."""
    return [
        f"job type {declared.type_name!r} costs more {name} than the burst of bucket "
        f"{declared.bucket!r}, {budgets[name].burst}: all its jobs are refused"
        for declared in costs
        for name, amount in declared.check(budgets).items()
        if amount > (budgets[name].burst or 0) * MICRO
    ]


def _with_burst(name: str, budget: BudgetConfig, largest: Mapping[str, int]) -> BudgetConfig:
    burst = Budget.of(name, budget, largest.get(name, 0)).burst
    return budget.model_copy(update={"burst": burst})
