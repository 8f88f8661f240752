"""Amounts of a budget, such as tokens, as whole millionths: sums of them are exact."""

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from math import ceil, isfinite
from numbers import Rational, Real
from typing import Any

MICRO = 1_000_000
"""Millionths of one."""

LARGEST = 4_000_000_000
"""What a budget may hold at once; sums of amounts stay exact below 2 ** 53 millionths."""

MOST_MICRO = 2 * LARGEST * MICRO

ENTRY = re.compile(r"([a-z][a-z0-9_]*)=(\d{1,16})")

Amounts = dict[str, int]
"""Millionths by the name of the budget."""


def micro(value: Any) -> int:
    """Return a number as millionths, rounded up; one beyond all budgets as the largest amount.

    Raises:
        ValueError: It is no number, negative or not finite; what it is is the end of a sentence.
    """
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        raise ValueError(f"is no number but {_kind(value)}")
    if not isinstance(value, Rational) and not isfinite(value):
        raise ValueError(f"is {value}, which is not finite")
    if value < 0:
        raise ValueError(f"is {_short(value)}, which is negative")
    # 0.1 is meant as it is written, not as the double that is closest to it
    exact = (
        Fraction(value) if isinstance(value, Rational | Decimal) else Fraction(repr(float(value)))
    )
    return min(MOST_MICRO, ceil(exact * MICRO))


def plain(amount: int) -> int | float:
    """Return millionths as a number; a whole one without a fraction."""
    return amount // MICRO if amount % MICRO == 0 else amount / MICRO


def to_text(amounts: Mapping[str, int]) -> str:
    """Return amounts as scripts read them, such as ``tokens=1500000000``."""
    return " ".join(f"{name}={amount}" for name, amount in sorted(amounts.items()))


def from_text(text: str) -> Amounts:
    """Read what ``to_text`` wrote; what is no amount is left out."""
    return {name: int(amount) for name, amount in ENTRY.findall(text)}


def to_json(text: str) -> dict[str, int | float] | None:
    """Return amounts as the HTTP interface shows them; None if there are none."""
    return {name: plain(amount) for name, amount in from_text(text).items()} or None


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"


def _short(value: object) -> str:
    return f"{value!s:.40}"
