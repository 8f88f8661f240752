"""What is said of a field that is unknown, stands twice, or has a value that pydantic refused."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

IN_ITS_FILE = {
    "buckets.json": {"rate", "max_running", "workers"},
    "rate_limits.json": {"refill_rate", "limit", "window", "match", "on_error"},
}
"""Fields that stand in one of the two files only."""

NO_OBJECT = frozenset({"dict_type", "model_type"})
"""Kinds of problems whose words are Python's: *dictionary*, and the name of a class."""

NO_BOOLEAN = frozenset({"bool_type", "bool_parsing"})
"""The same: *a valid boolean, unable to interpret input* does not say what is allowed."""

NO_NETWORK = frozenset({"ip_v4_network", "ip_v6_network"})
"""The same: of two kinds of addresses that are allowed, the first alone would be named."""


class RepeatedNameError(ValueError):
    """A name stands twice in one object; the message says which."""


def unique_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object; for ``json.loads``, as its ``object_pairs_hook``.

    Raises:
        RepeatedNameError: A name stands twice.
    """
    written: dict[str, Any] = {}
    for name, value in pairs:
        if name in written:
            raise RepeatedNameError(f"{name!r} is written twice")
        written[name] = value
    return written


def about_unknown_field(name: str, known: Collection[str], file: str) -> str:
    """Return what is wrong with a field, and what may have been meant.

    Args:
        name: Of the field.
        known: Those that there are.
        file: In which file it was found, by its usual name.
    """
    others: Mapping[str, set[str]] = {f: n for f, n in IN_ITS_FILE.items() if f != file}
    for other, names in others.items():
        if name in names - set(known):
            return f"there is no such field in {file}; this looks like {other}"
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}?" if close else f"known: {', '.join(known)}"
    return f"there is no such field; {meant}"


def wrong_value(problem: "ErrorDetails") -> str:
    """Return what is wrong with a value, in words for people who write JSON.

    Args:
        problem: One of ``ValidationError.errors()``.
    """
    if problem["type"] in NO_OBJECT:
        return "Input should be an object"
    if problem["type"] in NO_BOOLEAN:
        return "Input should be true or false"
    if problem["type"] in NO_NETWORK:
        return "Input should be a network such as 10.0.0.0/8 or 2001:db8::/32, or one address"
    return problem["msg"].removeprefix("Value error, ")
