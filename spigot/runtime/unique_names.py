"""Objects of JSON in which no name may stand twice, or all but its last value would be lost."""

from typing import Any


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
