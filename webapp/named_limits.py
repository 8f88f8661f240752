"""Rate limits that a view asks for by name."""

import logging
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from .rate_limits.rules import NamedLimits, Rules

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

ATTRIBUTE = "rate_limits"


def rate_limit(name: str, *, cost: int | None = None) -> Callable[[View], View]:
    """Apply a rule to a view, wherever the view is routed.

    Without a rule of that name, ``default`` applies as to any other view.

    Args:
        name: Of the rule.
        cost: What a request spends, >= 1; None: the rule's own cost. More than the rule's whole
            quota is the whole quota.

    Raises:
        ValueError: ``cost`` is below 1.
    """
    if cost is not None and cost < 1:
        raise ValueError(f"cost must be at least 1, not {cost}")

    def mark(view: View) -> View:
        # An attribute, because functools.wraps carries it through other decorators.
        vars(view)[ATTRIBUTE] = (*named_limits(view), (name, cost))
        return view

    return mark


def named_limits(view: Callable[..., Any] | None) -> NamedLimits:
    """Return the names that a view asks for, with their costs."""
    limits: NamedLimits = vars(view).get(ATTRIBUTE, ()) if view else ()
    return limits


def warn_of_unfit_limits(views: Mapping[str, Callable[..., Any]], rules: Rules) -> None:
    """Log which views ask for a rule that does not exist, or for more than its whole quota."""
    for endpoint, view in views.items():
        for name, cost in named_limits(view):
            rule = rules.by_name.get(name)
            if rule is None:
                log.warning("view %s asks for rate limit %r: no rule has that name", endpoint, name)
            elif cost is not None and cost > rule.limit.quota:
                log.warning("view %s costs more than rate limit %r has in all", endpoint, name)
