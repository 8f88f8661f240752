"""Which callables can be job types, and why the others cannot."""

import functools
import inspect
from collections.abc import Callable
from types import BuiltinFunctionType, MethodType
from typing import Any

CACHED = type(functools.cache(lambda: None))
"""What ``functools.cache`` and ``functools.lru_cache`` make of a function."""


def why_unfit(function: object) -> str:
    """Return why a callable cannot be a job type, as the end of a sentence; "" if it can.

    Functions, coroutine functions, cached functions, partials of these, and objects of a module
    with ``__call__`` can.
    """
    if not callable(function):
        return f"a {_kind(function)} cannot be called"
    if inspect.isclass(function):
        return f"{function.__qualname__} is a class: register a function that makes use of it"
    if isinstance(function, staticmethod | MethodType):
        return (
            f"a {_kind(function)} cannot be found by the workers: register a function of a module"
        )
    if isinstance(function, BuiltinFunctionType):
        return f"{function.__qualname__} is built in: register a function that calls it"
    return _why_unfit_inside(function, innermost(function))


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return the function that a partial, a cached function or an object calls in the end."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, CACHED):
            function = function.__wrapped__
        elif inspect.isroutine(function) or inspect.isclass(function):
            return function
        else:
            return type(function).__call__


def is_coroutine_function(function: object) -> bool:
    """Return whether what a function calls in the end is to be awaited; False if it is none."""
    return callable(function) and inspect.iscoroutinefunction(innermost(function))


def dotted_name(function: Callable[..., Any]) -> str:
    """Return where a function is defined; of an object, where its class is."""
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{named.__module__}.{named.__qualname__}"


def _why_unfit_inside(function: Callable[..., Any], inner: Callable[..., Any]) -> str:
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        return (
            f"{_name(inner)} is a generator function, of which a call runs no line: return a list, "
            "and tell of its progress by report_progress"
        )
    if isinstance(function, CACHED) and inspect.iscoroutinefunction(inner):
        return f"{_name(inner)} is a cached coroutine function, which can be awaited once only"
    owner = _name(inner).rpartition(".")[0]
    if inspect.isfunction(function) and owner and not owner.endswith("<locals>"):
        return f"{_name(inner)} is a method: register a function of a module"
    return ""


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__qualname__", type(function).__qualname__)


def _kind(value: object) -> str:
    return type(value).__name__
