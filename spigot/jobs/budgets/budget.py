"""One budget: what the file says of it, and the whole numbers that scripts reckon with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil, floor
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from spigot.runtime.rate import MICROSECONDS

from .amounts import LARGEST, MICRO, micro, plain
from .limit import Limit, Window

Counted = Literal["at_start", "unknown"]
"""When the downstream counts a job: when it starts, or at some moment before it ends."""

MINUTE_US = MICROSECONDS["m"]
WINDOW_SHARE = Fraction(3, 100)
EXACT = 2**52
"""Levels stay below it, so that Lua counts them exactly."""

LEAST_DRAIN = 1000
"""What must drain a microsecond if the limit had to be rounded: it is at most 0.1 % off."""


def _finite_amount(value: float) -> float:
    micro(value)
    return value


Amount = Annotated[float, Field(ge=0, le=LARGEST), AfterValidator(_finite_amount)]


class BudgetConfig(BaseModel):
    """A budget as `buckets.json` has it; text alone is its limit."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    limit: Limit
    """What the downstream grants, such as `90000/m`."""

    burst: Annotated[int, Field(ge=1, le=LARGEST)] | None = None
    """What may be spent at once after a pause."""

    counted: Counted = "unknown"
    """When the downstream counts a job: `at_start`, or at a moment that is `unknown`."""

    window: Window | None = None
    """How long the downstream counts before it begins anew; unset: its budget refills steadily."""

    cost: Amount | None = None
    """What each job costs that says nothing else; unset: each job type must say it."""

    default_cost: Amount = 0
    """What a job of plain RQ costs."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"limit": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _fits(self) -> Self:
        Budget.of("", self)
        return self


@dataclass(frozen=True, slots=True)
class Budget:
    """A budget with all its numbers.

    A level is counted in units: one token is ``unit`` of them, and ``drain`` of them drain in a
    microsecond, so that whole numbers say exactly how fast the budget refills. Only where such
    numbers would be too large, the rate is rounded down, by 0.1 % at most.

    Attributes:
        name: Of the budget.
        limit: As it was written.
        window: The same; None if the downstream's budget refills steadily.
        counted: When the downstream counts a job.
        burst: Tokens that may be spent at once, >= 1.
        cost: Millionths of a token that each job costs; None if job types must say it.
        default_cost: The same for jobs of plain RQ.
        unit: See above, >= 1.
        drain: See above, >= 1.
    """

    name: str
    limit: Limit
    window: Window | None
    counted: Counted
    burst: int
    cost: int | None
    default_cost: int
    unit: int
    drain: int

    @classmethod
    def of(cls, name: str, config: BudgetConfig, largest_cost: int = 0) -> "Budget":
        """Work the numbers out.

        Args:
            name: Of the budget.
            config: What the file says of it.
            largest_cost: Millionths that the most costly job type costs, of those whose cost is a
                constant.

        Raises:
            ValueError: The numbers do not fit together.
        """
        cost = None if config.cost is None else micro(config.cost)
        burst = config.burst or _usual_burst(config, max(largest_cost, cost or 0))
        if cost is not None and cost > burst * MICRO:
            raise ValueError(f"cost {plain(cost)} is more than the burst of {burst}")
        unit, drain = _units(config.limit, config.window, burst)
        return cls(
            name,
            config.limit,
            config.window,
            config.counted,
            burst,
            cost,
            micro(config.default_cost),
            unit,
            drain,
        )

    def altered(self, limit: Limit | None, burst: int | None) -> "Budget":
        """Return the budget with another limit or burst; the burst stays unless one is given.

        Raises:
            ValueError: The numbers do not fit together.
        """
        limit, burst = limit or self.limit, burst or self.burst
        unit, drain = _units(limit, self.window, burst)
        return replace(self, limit=limit, burst=burst, unit=unit, drain=drain)

    @property
    def line(self) -> str:
        """The budget as ``budgets.lua`` reads it."""
        return " ".join(
            (
                self.name,
                self.counted,
                str(self.unit),
                str(self.drain),
                str(self.burst * MICRO),
                "-" if self.cost is None else str(self.cost),
                str(self.default_cost),
                self.limit.text.replace(" ", ""),
                self.window.text.replace(" ", "") if self.window else "-",
            )
        )

    @classmethod
    def from_line(cls, line: str) -> "Budget":
        """Read what ``line`` returned.

        Raises:
            ValueError: It is no such line.
        """
        name, counted, unit, drain, burst, cost, default_cost, limit, window = line.split(" ")
        if counted not in ("at_start", "unknown") or int(unit) < 1 or int(drain) < 1:
            raise ValueError(f"no budget: {line!r}")
        return cls(
            name,
            Limit.parse(limit),
            None if window == "-" else Window.parse(window),
            "at_start" if counted == "at_start" else "unknown",
            int(burst) // MICRO,
            None if cost == "-" else int(cost),
            int(default_cost),
            int(unit),
            int(drain),
        )


def to_text(budgets: Mapping[str, Budget]) -> str:
    """Return the budgets of a bucket as its hash holds them: one line each, by name."""
    return "\n".join(budgets[name].line for name in sorted(budgets))


def from_text(text: str) -> dict[str, Budget]:
    """Read what ``to_text`` wrote; a line that cannot be read is left out."""
    budgets = {}
    for line in text.splitlines():
        try:
            budget = Budget.from_line(line)
        except ValueError:
            continue
        budgets[budget.name] = budget
    return budgets


def _usual_burst(config: BudgetConfig, largest_cost: int) -> int:
    limit = Fraction(config.limit.count, config.limit.period_us)
    if config.window:
        burst = max(1, floor(limit * config.window.us * WINDOW_SHARE))
    elif config.counted == "at_start":
        burst = ceil(max(limit * MINUTE_US / 10, Fraction(largest_cost, MICRO)))
    else:
        burst = ceil(limit * MINUTE_US)
    if burst > LARGEST:
        raise ValueError(f"its burst would be {burst}: set one of at most {LARGEST}")
    return burst


def _units(limit: Limit, window: Window | None, burst: int) -> tuple[int, int]:
    """Return how many units are a token, and how many drain in a microsecond."""
    rate = Fraction(limit.count, limit.period_us)
    if window:
        granted = rate * window.us
        if burst >= granted:
            raise ValueError(
                f"burst {burst} must be less than the limit of a window, which is "
                f"{float(granted):g}: no more than that passes in any {window.text}"
            )
        rate = (granted - burst) / window.us
    unit, drain = rate.denominator, rate.numerator
    if max(burst * unit, drain) <= EXACT // 4:
        return unit, drain
    unit = max(1, EXACT // (4 * max(burst, ceil(rate))))
    drain = floor(unit * rate)
    if drain < LEAST_DRAIN:
        raise ValueError(f"burst {burst} is too large for the limit {limit.text}")
    return unit, drain
