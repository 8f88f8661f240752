"""The functions that a decorated function is made of."""

from collections.abc import Callable, Iterator
from functools import partial
from types import FunctionType, MethodType
from typing import Any

from flask.sansio.scaffold import Scaffold
from werkzeug.local import LocalProxy

Function = Callable[..., Any]

STRANGERS = (type, LocalProxy, Scaffold)
"""What functions hold without being made of it: classes, ``request``, the app."""

MOST = 100
"""How many layers are looked at: a service in a closure may hold half of a program."""


def layers(function: Function) -> Iterator[Function]:
    """Yield a function and those that it wraps, the outermost first.

    ``functools.wraps`` says what is wrapped; decorators without it have it in their closure, or in
    an attribute.
    """
    waiting, seen = [function], {id(function)}
    for each in waiting:
        yield each
        for inner in _held(each):
            known = id(inner) in seen or isinstance(inner, STRANGERS) or len(seen) == MOST
            if callable(inner) and not known:
                seen.add(id(inner))
                waiting.append(inner)


def _held(function: Function) -> Iterator[Any]:
    match function:
        case partial():
            yield function.func
            yield from function.args
        case MethodType():
            yield function.__func__
        case FunctionType():
            for cell in function.__closure__ or ():
                yield from _content(cell)
            yield function.__dict__.get("__wrapped__")
        case _:
            yield from [*getattr(function, "__dict__", {}).values()]  # other threads may add some


def _content(cell: Any) -> Iterator[Any]:
    try:
        yield cell.cell_contents
    except ValueError:  # a name that has no value yet
        return
