"""What an operator changes in a budget while it runs: its limit, its burst, or both."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spigot.runtime.errors import OperatorError, PortableError

from .amounts import LARGEST
from .budget import Budget, from_text, to_text
from .limit import Limit


class BudgetChangeError(PortableError, OperatorError):
    """A budget cannot be changed so; nothing was changed."""


class BudgetChange(BaseModel):
    """What is different from now on; text alone is a limit."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    limit: Limit | None = None
    """What the downstream grants, such as `90000/m`; unset: it stays."""

    burst: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    """What may be spent at once; unset: it stays."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"limit": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.limit is None and self.burst is None:
            raise ValueError("say a limit or a burst")
        return self


def altered(bucket: str, stored: str, changes: Mapping[str, BudgetChange]) -> str:
    """Return the lines of the budgets that change.

    Args:
        bucket: Its name.
        stored: The lines that count now.
        changes: By budget.

    Raises:
        BudgetChangeError: There is no such budget, or its numbers would not fit together.
    """
    budgets = from_text(stored)
    return to_text({name: _altered(bucket, budgets, name, it) for name, it in changes.items()})


def _altered(bucket: str, budgets: Mapping[str, Budget], name: str, change: BudgetChange) -> Budget:
    if name not in budgets:
        known = ", ".join(sorted(budgets)) or "none"
        raise BudgetChangeError(
            f"bucket {bucket!r} has no budget {name!r:.50}; known: {known}; buckets.json adds them"
        )
    try:
        return budgets[name].altered(change.limit, change.burst)
    except ValueError as error:
        raise BudgetChangeError(f"budget {name!r} of bucket {bucket!r}: {error}") from error
