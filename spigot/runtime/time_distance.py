"""How far off a time is, in words."""

from datetime import datetime

UNITS = ((86_400, "d"), (3600, "h"), (60, "min"), (1, "s"))
"""Seconds of each, the largest first."""

ENOUGH = 2
"""So many of a unit are told in it; fewer in the next smaller one."""


def time_distance(moment: datetime, now: datetime) -> str:
    """Return ``3 s ago``, ``in 4 min`` or, within half a second, ``now``."""
    seconds = round((moment - now).total_seconds())
    if not seconds:
        return "now"
    size, unit = next((u for u in UNITS if abs(seconds) >= ENOUGH * u[0]), UNITS[-1])
    amount = f"{abs(seconds) // size} {unit}"
    return f"in {amount}" if seconds > 0 else f"{amount} ago"
