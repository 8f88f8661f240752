"""How commands print: tables for people, JSON for scripts."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
"""The option that every command takes which prints data."""


def print_json(value: Any) -> None:
    """Print a value for scripts."""
    click.echo(json.dumps(value, indent=2))


def print_fields(fields: Mapping[str, Any]) -> None:
    """Print one thing, a field per line."""
    width = max(map(len, fields))
    for name, value in fields.items():
        click.echo(f"{name.replace('_', ' '):{width}}  {cell(value)}")


def print_table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print several things, one per line."""
    cells = [list(head), *([cell(value) for value in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = "  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo(line.rstrip())


def cell(value: Any) -> str:
    """Return a value as one piece of text that a terminal can show."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(value if isinstance(value, str) else json.dumps(value))


def printable(text: str) -> str:
    """Return a text that a stranger may have sent, so that it cannot steer the terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
