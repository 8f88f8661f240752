"""What a bucket's page says of its budgets."""

from spigot.jobs.budgets.state import BudgetState
from spigot.jobs.overview.number_texts import number_text
from spigot.jobs.overview.reading import BucketView

from .cards import Texts

COUNTED = {
    "at_start": "spent when a job starts",
    "unknown": "when the downstream counts is not known, so a running job holds what it reserved",
}


def budget_rows(view: BucketView) -> list[Texts]:
    """Return a row for each budget of a bucket, by name."""
    return [_row(name, budget) for name, budget in sorted(view.state.budgets.items())]


def _row(name: str, budget: BudgetState) -> Texts:
    free = max(0.0, budget.burst - budget.level - budget.held)
    window = f" counted per {budget.window}" if budget.window else ""
    numbers = {"spent": budget.level, "held": budget.held, "free": free}
    told = {key: number_text(number) for key, number in numbers.items()}
    burst = number_text(budget.burst)
    spent, held = (100 * min(1.0, it / budget.burst) for it in (budget.level, budget.held))
    return {
        "key": name,
        "name": name,
        "limit": budget.limit,
        "numbers": f"{budget.limit}{window}, burst {burst}; {COUNTED[budget.counted]}",
        "spent_width": f"{spent:.1f}%",
        "held_x": f"{spent:.1f}%",
        "held_width": f"{min(held, 100 - spent):.1f}%",
        "picture_label": f"{name}: "
        + "{spent} spent, {held} held, {free} of {burst} free".format(**told, burst=burst),
        "spent": f"{told['spent']} spent",
        "held": f"{told['held']} held by running jobs",
        "free": f"{told['free']} of {burst} free",
        "advice": _advice(budget),
        "upstream": _upstream(budget),
    }


def _advice(budget: BudgetState) -> str:
    """Return what share of the limit can be used, and what would raise it."""
    if budget.usable_share is None:
        return ""
    share = f"{100 * budget.usable_share:.0f} % of the limit can be used"
    if not budget.burst_wanted:
        return f"{share}."
    return f"{share}; a burst of {budget.burst_wanted:,} would give 97 %."


def _upstream(budget: BudgetState) -> str:
    said = budget.upstream
    if said is None:
        return ""
    return f"The downstream says: {number_text(said.used)} of {number_text(said.limit)} are used."
