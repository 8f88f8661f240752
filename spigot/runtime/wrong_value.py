"""What is said of a value that pydantic refused."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

NO_OBJECT = frozenset({"dict_type", "model_type"})
"""Kinds of problems whose words are Python's: *dictionary*, and the name of a class."""


def wrong_value(problem: "ErrorDetails") -> str:
    """Return what is wrong with a value, in words for people who write JSON.

    Args:
        problem: One of ``ValidationError.errors()``.
    """
    if problem["type"] in NO_OBJECT:
        return "Input should be an object"
    return problem["msg"].removeprefix("Value error, ")
