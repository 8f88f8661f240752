"""The shipped dashboard, and what Grafana would ask Prometheus for it."""

import json
from collections.abc import Iterator
from typing import Any

from .prometheus import DEPLOY

DASHBOARD: dict[str, Any] = json.loads(
    (DEPLOY / "grafana" / "dashboards" / "spigot.json").read_text()
)
PANELS: list[dict[str, Any]] = DASHBOARD["panels"]
VARIABLES: list[dict[str, Any]] = DASHBOARD["templating"]["list"]

BUILT_IN = {"$__rate_interval": "1m"}
"""What Grafana fills in; the interval is four scrapes of five seconds at least."""

ALL = ".+"
"""What it fills in for a variable of which all values are chosen."""


def targets() -> Iterator[dict[str, Any]]:
    """Return what the panels ask for."""
    for panel in PANELS:
        yield from panel.get("targets", ())


def filled_in(expression: str) -> str:
    """Return the expression that Prometheus would get."""
    for variable in VARIABLES:
        expression = expression.replace(f"${variable['name']}", ALL)
    for name, value in BUILT_IN.items():
        expression = expression.replace(name, value)
    return expression
