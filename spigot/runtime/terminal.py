"""How commands print: tables for people, JSON for scripts."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from .time_distance import time_distance

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""The option that every command takes which prints data."""

TIMES = ("_at", "_until")
"""How the names of fields end that hold a time."""


class State(str):
    """A word whose colour tells how things are."""

    __slots__ = ()


class Cut(str):
    """A text that loses its end where a table has too little room for it."""

    __slots__ = ()


def print_json(value: Any) -> None:
    """Print a value for scripts."""
    click.echo(json.dumps(value, indent=2))


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one thing, a field per line; a time with how far off it is."""
    rows = [(name.replace("_", " "), _field(name, value)) for name, value in fields.items()]
    print_table((), rows, elastic={1})


def print_table(
    head: Sequence[str], rows: Sequence[Sequence[Any]], elastic: Collection[int] = ()
) -> None:
    """Print several things, one per row, as wide as the terminal.

    Args:
        head: A word for each column; none: without a line of them.
        rows: Of texts and JSON values; a ``State`` is coloured, a ``Cut`` is cut.
        elastic: Columns, counted from 0, that give way where the terminal is too narrow.
    """
    from .table import table_text  # only now: what prints JSON does without the library

    cells = [[_typed(value) for value in row] for row in rows]
    text, in_colour = table_text(head, cells, elastic)
    click.echo(text, nl=False, color=in_colour)


def from_now(moment: str | None) -> str | None:
    """Return how far off a time is, such as ``3 s ago``.

    Args:
        moment: As RFC 3339 writes it; None, and what is no time, are returned as they are.
    """
    try:
        return moment and time_distance(datetime.fromisoformat(moment), datetime.now(UTC))
    except (ValueError, TypeError):  # somebody else wrote it
        return moment


def cell(value: Any) -> str:
    """Return a value as one piece of text that a terminal can show."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def printable(text: str) -> str:
    """Return a text that a stranger may have sent, so that it cannot steer the terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _typed(value: Any) -> str:
    return type(value)(cell(value)) if isinstance(value, State | Cut) else cell(value)


def _field(name: str, value: Any) -> Any:
    if name.endswith(TIMES) and isinstance(value, str):
        return f"{from_now(value)}, {value}"
    return State(value) if name == "status" and isinstance(value, str) else value
