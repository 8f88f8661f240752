"""The rules of the door, all of them, and which of them a request must pass."""

from collections.abc import Mapping
from functools import cache, lru_cache

from .rule import Rule
from .rule_cost import RuleCost

DEFAULT = "default"

NamedLimits = tuple[tuple[str, int | None], ...]
"""Names of rules that a view gives, each with a cost; None: the rule's own."""


class Rules:
    """The rules by name, in the order of the file.

    Attributes:
        by_name: The rules.
        headers: What clients are counted by besides their IP, such as ``header:x-api-key``.
    """

    def __init__(self, by_name: Mapping[str, Rule]) -> None:
        self.by_name = by_name
        parts = {part for rule in by_name.values() for part in rule.counted_by}
        self.headers = tuple(part for part in parts if part.startswith("header:"))
        self._rule_cost = cache(RuleCost)  # the same cost of the same rule is the same object
        self._costs_of_path = lru_cache(maxsize=1024)(self._costs)

    def costs(
        self,
        method: str,
        path: str,
        named: NamedLimits = (),
        exempt: str = "",
        *,
        preflight: bool = False,
    ) -> tuple[RuleCost, ...]:
        """Return what a request costs the rules that it must pass.

        Args:
            method: Such as ``POST``.
            path: Without query.
            named: What its view names. A name that no rule has selects nothing.
            exempt: Prefix of an exempt path, which only rules limit that spell it out; empty: the
                path is not exempt.
            preflight: It is a preflight that runs no view: only rules that write its method out
                apply.
        """
        return self._costs_of_path(method, path, () if preflight else named, exempt, preflight)

    def times(self, costs: tuple[RuleCost, ...], requests: int) -> tuple[RuleCost, ...]:
        """Return what a request costs that counts as several.

        Args:
            costs: Of one of them.
            requests: How many, >= 1.
        """
        if requests == 1:
            return costs
        return tuple(self._rule_cost(one.rule, one.cost, None, requests) for one in costs)

    def _costs(
        self, method: str, path: str, named: NamedLimits, exempt: str, preflight: bool
    ) -> tuple[RuleCost, ...]:
        given = dict(named)
        rules = [
            rule
            for rule in self.by_name.values()
            if rule.name in given or rule.covers(method, path, exempt, writes_method=preflight)
        ]
        default = self.by_name.get(DEFAULT)
        free = exempt or preflight
        if default and default not in rules and not free and not any(r.enforced for r in rules):
            rules.append(default)
        return tuple(self._rule_cost(rule, given.get(rule.name) or rule.cost) for rule in rules)
