"""What is spent and held of a bucket's budgets, as clients and operators see it."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from spigot.jobs.store.times import Moment, utc_text

from .amounts import MICRO, plain
from .budget import Budget, Counted, from_text
from .limit import Limit
from .usable_share import UsableShare, usable_share_of_held


@dataclass(frozen=True, slots=True)
class UpstreamState:
    """What a downstream said of its own limit.

    Attributes:
        limit: What it grants.
        used: What was spent of it when it said so, and since.
        forgotten_at: When this counts no longer, RFC 3339.
    """

    limit: float
    used: float
    forgotten_at: Moment


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
        upstream: What the downstream said of its own limit; None if it said nothing, or the reset
            that it stated is over.
        usable_share: What share of the limit jobs can use, as long as they run, reserve and use as
            recently; None if nobody knows.
        burst_wanted: The burst that would let 97 % of the limit through; None if the present one
            does, or if nobody knows.
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
    upstream: UpstreamState | None
    usable_share: float | None
    burst_wanted: int | None

    @property
    def limit_per_second(self) -> float:
        """The limit as a number."""
        limit = Limit.parse(self.limit)
        return limit.count * 1_000_000 / limit.period_us


def budget_states(
    text: str, stored: Mapping[str, int], now_us: int, mean_run_us: int
) -> dict[str, BudgetState]:
    """Return the state of each budget.

    Args:
        text: Their lines.
        stored: What ``budgets.lua`` keeps of them.
        now_us: Unix microseconds.
        mean_run_us: How long jobs run, on the mean; 0 if none ran.
    """
    budgets = from_text(text).items()
    return {name: _state(budget, stored, now_us, mean_run_us) for name, budget in budgets}


def _state(budget: Budget, stored: Mapping[str, int], now_us: int, mean_run_us: int) -> BudgetState:
    name = budget.name
    drained = max(0, now_us - stored.get(f"{name}:at_us", now_us)) * budget.drain
    level = max(0, stored.get(f"{name}:level", 0) - drained)
    usable = _usable(budget, stored, mean_run_us)
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
        upstream=_upstream(budget, stored, now_us),
        usable_share=None if usable is None else round(usable.share, 4),
        burst_wanted=None if usable is None else usable.burst,
    )


def _upstream(budget: Budget, stored: Mapping[str, int], now_us: int) -> UpstreamState | None:
    limit, until_us = (stored.get(f"{budget.name}:up_{it}", 0) for it in ("limit", "until_us"))
    if not limit or until_us <= now_us:
        return None
    drained = (now_us - stored.get(f"{budget.name}:up_at_us", now_us)) * limit
    drained //= budget.limit.period_us
    used = stored.get(f"{budget.name}:up_level", 0) * MICRO // budget.unit - max(0, drained)
    return UpstreamState(plain(limit), plain(max(0, used)), utc_text(until_us))


def _usable(budget: Budget, stored: Mapping[str, int], mean_run_us: int) -> UsableShare | None:
    granted = Fraction(budget.limit.count, budget.limit.period_us)
    drained = Fraction(budget.drain, budget.unit)
    reserved = _mean(stored.get(f"{budget.name}:mean")) or 0
    if budget.counted == "at_start":
        return UsableShare(min(1.0, float(drained / granted)), None)
    if not mean_run_us or not reserved:
        return None
    used = _mean(stored.get(f"{budget.name}:used"))
    return usable_share_of_held(
        budget.burst,
        float(drained) * 1_000_000,
        reserved,
        reserved if used is None else used,
        mean_run_us / 1_000_000,
    )


def _mean(amount: int | None) -> float | None:
    return None if amount is None else plain(amount)
