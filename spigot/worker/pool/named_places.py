"""Functions whose names say which place runs them, for whoever sees nothing but a stack.

The report of a crash is written by a handler that may touch no Python object: it has names only.
"""

import re
from collections.abc import Awaitable, Callable
from types import FunctionType
from typing import Any, TypeVar, cast

Value = TypeVar("Value")
NAME = re.compile(r"\bplace_(\d{5})\b")


def _call(function: Callable[[], Value]) -> Value:
    return function()


async def _await(awaitable: Awaitable[Value]) -> Value:
    return await awaitable


def _renamed(function: Callable[..., Any], place: int) -> Callable[..., Any]:
    original = cast(FunctionType, function)
    name = f"place_{place:05}"
    code = original.__code__.replace(co_name=name, co_qualname=name)
    return FunctionType(code, original.__globals__, name)


class NamedPlaces:
    """A caller and an awaiter for each place.

    Args:
        count: Of places, 1 to 100,000.
    """

    def __init__(self, count: int) -> None:
        self._callers = [_renamed(_call, place) for place in range(count)]
        self._awaiters = [_renamed(_await, place) for place in range(count)]

    def call(self, place: int, function: Callable[[], Value]) -> Value:
        """Call a function for a place."""
        return cast(Value, self._callers[place](function))

    def awaiting(self, place: int, awaitable: Awaitable[Value]) -> Awaitable[Value]:
        """Return a coroutine that awaits for a place."""
        return cast(Awaitable[Value], self._awaiters[place](awaitable))


def places_in(report: str) -> list[int]:
    """Return the places that a stack or a report of several names, the innermost first."""
    return [int(number) for number in NAME.findall(report)]
