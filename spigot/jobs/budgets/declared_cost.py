"""What the jobs of a type cost, as it declares it, checked against the budgets of its bucket."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from spigot.runtime.errors import PortableError

from .amounts import Amounts, micro, plain
from .budget import BudgetConfig

Budgets = Mapping[str, BudgetConfig]
"""Of one bucket, by name."""

Cost = float | Mapping[str, float]
"""A number for each budget; or one, where one budget of the bucket has no cost of its own."""

Costs = Cost | Sequence[Cost | None]
"""What each of many jobs costs: the same, or one after the other; None: what its type says."""


class InvalidCost(PortableError, ValueError):
    """What a job costs cannot be used; nothing was enqueued."""

    def __init__(self, job_type: str, problem: str, of: str = "cost") -> None:
        self._job_type, self._problem = job_type, problem
        super().__init__(f"{of} of job type {job_type!r} {problem}")

    def of_item(self, index: int) -> "InvalidCost":
        """Return the error for the cost of one job of several."""
        return InvalidCost(self._job_type, self._problem, f"payload {index}: cost")


class CostExceedsBurst(PortableError, ValueError):
    """The job costs more than a budget ever holds; nothing was enqueued. Make it smaller.

    Attributes:
        bucket: Its name.
        budget: Name of the budget.
        cost: What the job costs.
        largest: The largest cost that fits.
    """

    def __init__(self, bucket: str, budget: str, cost: int, largest: int) -> None:
        self.bucket, self.budget = bucket, budget
        self.cost, self.largest = plain(cost), plain(largest)
        super().__init__(
            f"the job costs {self.cost} {budget}, and bucket {bucket!r} grants {self.largest} at "
            "once: a job that costs more never starts"
        )


@dataclass(frozen=True, slots=True)
class DeclaredCost:
    """The cost of a job type.

    Attributes:
        type_name: Of the job type.
        bucket: That its jobs wait in.
        value: A number, a number for each budget, what returns either, or None: it says nothing.
    """

    type_name: str
    bucket: str
    value: Any

    @property
    def is_constant(self) -> bool:
        """Whether it is the same for all jobs of the type."""
        return self.value is not None and not callable(self.value)

    def check(self, budgets: Budgets) -> Amounts:
        """Check what can be known before there is a job.

        Returns:
            What each job costs, if that is a constant; else nothing.

        Raises:
            InvalidCost: It cannot be used with these budgets.
        """
        if self.is_constant or (self.value is None and budgets):
            return self.amounts(self.value, budgets)
        return {}

    def amounts(self, value: Any, budgets: Budgets) -> Amounts:
        """Read a cost, given or returned, as millionths by budget.

        Raises:
            InvalidCost: It cannot be used with these budgets.
        """
        if not budgets:
            self._check_numbers(value)
            return {}
        unsaid = [name for name, budget in sorted(budgets.items()) if budget.cost is None]
        amounts = self._by_name(value, unsaid)
        for name in amounts:
            if name not in budgets:
                known = ", ".join(sorted(budgets))
                raise self._invalid(
                    f"names no budget of bucket {self.bucket!r}: {name!r:.50}; known: {known}"
                )
        for name in unsaid:
            if name not in amounts:
                raise self._invalid(
                    f"says nothing of the budget {name!r} of bucket {self.bucket!r}"
                )
        return {name: self._micro(name, amount) for name, amount in amounts.items()}

    def _by_name(self, value: Any, unsaid: list[str]) -> Mapping[Any, Any]:
        if isinstance(value, Mapping):
            return value
        if value is None:
            if unsaid:
                raise InvalidCost(
                    self.type_name,
                    f"is not said, and its bucket {self.bucket!r} has the budget "
                    f"{unsaid[0]!r}: write @job_type(…, cost=…)",
                )
            return {}
        if len(unsaid) == 1:
            return {unsaid[0]: value}
        if not isinstance(value, Real):
            raise self._invalid(f"is no number and no dict of numbers but a {type(value).__name__}")
        if not unsaid:
            raise self._invalid(
                f"is a number, and no budget of bucket {self.bucket!r} needs one: give a dict"
            )
        raise self._invalid(f"must be a dict with {', '.join(unsaid)}")

    def _check_numbers(self, value: Any) -> None:
        """Refuse what no bucket could use; which budgets there are elsewhere is not known."""
        amounts = value.items() if isinstance(value, Mapping) else [("", value)]
        for name, amount in amounts if value is not None else ():
            self._micro(name, amount)

    def _micro(self, name: str, amount: Any) -> int:
        try:
            return micro(amount)
        except ValueError as error:
            raise self._invalid(f"of {name!r} {error}" if name else str(error)) from None

    def _invalid(self, problem: str) -> InvalidCost:
        return InvalidCost(self.type_name, problem)


def costs_of_each(costs: Costs | None, count: int) -> Sequence[Cost | None]:
    """Return what each of so many jobs costs.

    Raises:
        ValueError: There are more or fewer costs than jobs.
    """
    if not isinstance(costs, Sequence) or isinstance(costs, str):
        return [costs] * count
    if len(costs) != count:
        raise ValueError(f"there are {count} payloads and {len(costs)} costs: give one for each")
    return costs


def usual_costs(budgets: Budgets) -> Amounts:
    """Return what a job costs of the budgets that say so themselves."""
    return {name: micro(budget.cost) for name, budget in budgets.items() if budget.cost is not None}
