"""Sets a context variable inside a ``with`` block."""

from contextvars import ContextVar, Token
from typing import Generic, TypeVar

Value = TypeVar("Value")


class SetMeanwhile(Generic[Value]):
    """Gives a context variable a value inside the block; for one block.

    For what is done several times for each job: one made by ``contextlib.contextmanager`` takes
    three times as long.

    Args:
        variable: That is set.
        value: It has that inside.
    """

    __slots__ = ("_token", "_value", "_variable")

    def __init__(self, variable: ContextVar[Value], value: Value) -> None:
        self._variable = variable
        self._value = value

    def __enter__(self) -> None:
        self._token: Token[Value] = self._variable.set(self._value)

    def __exit__(self, *error: object) -> None:
        self._variable.reset(self._token)
