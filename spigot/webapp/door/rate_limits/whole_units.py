"""The whole numbers that Python, Lua and Redis all count exactly."""

from fractions import Fraction

MAX_UNITS = 2**53 - 1
"""Above it a Lua number, which is a double, skips whole numbers."""


class InexactError(ValueError):
    """A rule's numbers cannot be kept exact; the message says which could."""


def plain(number: Fraction) -> float:
    """Return a number as JSON writes it, without a point if it is whole."""
    return number.numerator if number.denominator == 1 else float(number)
