"""Which rules the views of an app ask for by name, for each method of a request."""

import logging
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from flask import Flask
from flask.views import http_method_funcs

from spigot.webapp.door.rate_limits.rules import NamedLimits, Rules

from .named_limits import COUNTER, named_limits
from .wrapped_functions import layers

log = logging.getLogger(__name__)

View = Callable[..., Any]


class ViewLimits:
    """Finds the limits of views, wherever below the view's function they were put.

    Args:
        app: Its views may still be registered.
    """

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._found: dict[tuple[str, str], tuple[View, NamedLimits]] = {}
        self._warned_of: Rules | None = None

    def of(self, endpoint: str | None, method: str) -> NamedLimits:
        """Return what the view of a request asks for.

        Args:
            endpoint: Flask's word for the view; None: there is none.
            method: Of the request, which the view takes.
        """
        view = self._app.view_functions.get(endpoint or "")
        if view is None or endpoint is None:
            return ()
        known, limits = self._found.get((endpoint, method), (None, ()))
        if known is not view:  # an endpoint may be given another view
            limits = _limits_in(_own_layers(view, self._views()), method)
            self._found[endpoint, method] = view, limits
        return limits

    def requests_in(self, endpoint: str | None) -> int:
        """Return as how many requests the present one counts, >= 1."""
        view = self._app.view_functions.get(endpoint or "")
        counter = getattr(view, COUNTER, None)
        return max(1, counter()) if counter else 1

    def warn_of_faults(self, rules: Rules) -> None:
        """Log which limits cannot act, once for the same rules."""
        if rules is not self._warned_of:
            self._warned_of = rules
            self._warn_of_unfit(rules)
            self._warn_of_misplaced()

    def _warn_of_unfit(self, rules: Rules) -> None:
        """Log which views ask for a rule that does not exist, or for more than its whole quota."""
        views = self._views()
        for endpoint, view in self._app.view_functions.items():
            functions = _own_layers(view, views)
            methods = map(str.upper, http_method_funcs)
            asked = chain.from_iterable(_limits_in(functions, method) for method in methods)
            for name, cost in dict.fromkeys(asked):
                rule = rules.by_name.get(name)
                if rule is None:
                    message = "view %s asks for rate limit %r: no rule has that name"
                    log.warning(message, endpoint, name)
                elif cost is not None and cost > rule.limit.quota:
                    message = "view %s costs more than rate limit %r has in all"
                    log.warning(message, endpoint, name)

    def _warn_of_misplaced(self) -> None:
        """Log which functions carry limits that no request is asked for: they are no views."""
        hooks = chain.from_iterable(self._app.before_request_funcs.values())
        for function in chain(hooks, self._idle_methods()):
            for name, _ in named_limits(function):
                place = getattr(function, "__qualname__", function)
                log.error("rate limit %r on %s does nothing: put it on a view", name, place)

    def _views(self) -> set[int]:
        """Return which functions are views, by identity: some cannot be hashed."""
        return set(map(id, self._app.view_functions.values()))

    def _idle_methods(self) -> Iterator[View]:
        """Yield the methods of view classes that answer no request by themselves."""
        for view in self._app.view_functions.values():
            view_class = getattr(view, "view_class", None)
            for name, value in vars(view_class).items() if view_class else ():
                if callable(value) and name not in {*http_method_funcs, "dispatch_request"}:
                    yield value


def _own_layers(view: View, views: set[int]) -> list[View]:
    """Return what a view is made of, the innermost first; another view asks for itself."""
    functions = [each for each in layers(view) if each is view or id(each) not in views]
    return functions[::-1]


def _limits_in(functions: Sequence[View], method: str) -> NamedLimits:
    """Return what these functions ask for; the later ones win."""
    found: dict[str, int | None] = {}
    for function in functions:
        found |= dict(named_limits(function))
        for below in _methods_of(function, method):
            found |= dict(chain.from_iterable(map(named_limits, reversed([*layers(below)]))))
    return tuple(found.items())


def _methods_of(function: View, method: str) -> Iterator[View]:
    """Yield what a class of views runs for a request."""
    view_class = getattr(function, "view_class", None)
    names = ("dispatch_request", method.lower())
    if method == "HEAD" and not hasattr(view_class, "head"):
        names = ("dispatch_request", "get")
    for name in names if view_class else ():
        below = getattr(view_class, name, None)
        if below is not None:
            yield below
