"""Rate limits that a view asks for by name."""

from collections.abc import Callable
from typing import Any, TypeVar

from flask.views import View as ViewClass

from spigot.webapp.door.rate_limits.rules import NamedLimits

View = TypeVar("View", bound=Callable[..., Any])

ATTRIBUTE = "rate_limits"
COUNTER = "counts_requests"


def rate_limit(name: str, *, cost: int | None = None) -> Callable[[View], View]:
    """Apply a rule to a view, wherever the view is routed.

    The view is a function, or a class of views (all its methods), or a method of one. Without a
    rule of that name, ``default`` applies as to any other view.

    Args:
        name: Of the rule.
        cost: What a request spends, >= 1; None: the rule's own cost. More than the rule's whole
            quota is the whole quota.

    Raises:
        TypeError: ``name`` is no text, or what is decorated cannot be a view.
        ValueError: ``cost`` is below 1.
    """
    if not isinstance(name, str):
        raise TypeError('write @rate_limit("NAME") with the name of a rule')
    if cost is not None and cost < 1:
        raise ValueError(f"cost must be at least 1, not {cost}")

    def mark(view: View) -> View:
        if isinstance(view, type):
            _mark_class(view, mark)
            return view
        function = getattr(view, "__func__", view)  # of a method, be it bound, static or a class's
        if not hasattr(function, "__dict__"):
            raise TypeError(
                f"@rate_limit({name!r}) cannot be put on {view!r}: wrap it in a function"
            )
        # An attribute, because functools.wraps carries it through other decorators.
        vars(function)[ATTRIBUTE] = (*named_limits(function), (name, cost))
        return view

    return mark


def counts_as(counter: Callable[[], int]) -> Callable[[View], View]:
    """Count a request to the view as several, which are admitted or refused together.

    Args:
        counter: Returns as how many the present request counts. It is called before the request
            is admitted, so it raises nothing and costs little.
    """

    def mark(view: View) -> View:
        setattr(view, COUNTER, counter)
        return view

    return mark


def named_limits(function: Callable[..., Any]) -> NamedLimits:
    """Return the names that stand on a function itself, with their costs."""
    limits: NamedLimits = getattr(function, "__dict__", {}).get(ATTRIBUTE, ())
    return limits


def _mark_class(view: type, mark: Callable[[Any], Any]) -> None:
    if not issubclass(view, ViewClass):
        raise TypeError(f"@rate_limit is for views; {view.__name__} is no flask.views.View")
    view.decorators = [*view.decorators, mark]
