"""Draws a table that fits the terminal, in colour where that is welcome.

The only module that imports rich: commands load it when they print for people.
"""

import os
import sys
from collections.abc import Collection, Sequence
from io import StringIO
from shutil import get_terminal_size

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

from .colour import is_welcome
from .terminal import Cut, State

UNBOUNDED = 100_000
"""Columns of a pipe or a file: programs read whole lines."""

GOOD, BUSY, ODD, BAD, QUIET = "green", "cyan", "yellow", "bold red", "dim"

COLOURS = {
    "ok": GOOD,
    "open": GOOD,
    "finished": GOOD,
    "started": BUSY,
    "delayed": ODD,
    "paused": ODD,
    "draining": ODD,
    "held": ODD,
    "quota": ODD,
    "asks": ODD,
    "full": BAD,
    "no": BAD,
    "failed": BAD,
    "WRONG": BAD,
    "cancelled": QUIET,
}
"""By the first word of a state; the others have the colour of the text around them."""


def table_text(
    head: Sequence[str], rows: Sequence[Sequence[str]], elastic: Collection[int]
) -> tuple[str, bool]:
    """Return the lines of a table, and whether there is colour in them.

    Args:
        head: A word for each column, or none.
        rows: Texts that are safe to print.
        elastic: Columns that give way where the terminal is too narrow.
    """
    in_colour = is_welcome(sys.stdout)
    console = Console(
        file=StringIO(),
        width=_width(),
        color_system="standard" if in_colour else None,
        force_terminal=in_colour,
        legacy_windows=False,
        _environ={},  # what the environment says was read here
    )
    with console.capture() as drawn:
        console.print(_table(head, rows, elastic))
    lines = drawn.get().splitlines()
    return "".join(f"{line.rstrip()}\n" for line in lines), in_colour


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], elastic: Collection[int]) -> Table:
    count = len(rows[0]) if rows else len(head)
    columns = [
        Column(
            Text(head[number]) if head else "",
            no_wrap=number not in elastic,
            overflow="fold" if number in elastic else "ellipsis",
        )
        for number in range(count)
    ]
    table = Table(
        *columns,
        box=None,
        padding=(0, 2, 0, 0),
        pad_edge=False,
        show_header=bool(head),
        header_style="bold",
    )
    for row in rows:
        table.add_row(*map(_drawn, row))
    return table


def _drawn(cell: str) -> Text:
    if isinstance(cell, State):
        return Text(cell, style=COLOURS.get(cell.split(" ")[0].rstrip(":;,"), ""))
    return Text(cell, no_wrap=True, overflow="ellipsis") if isinstance(cell, Cut) else Text(cell)


def _width() -> int:
    """Return the columns that there are; ``COLUMNS`` says it for a pipe too."""
    is_terminal = sys.stdout is not None and sys.stdout.isatty()
    if is_terminal or os.environ.get("COLUMNS", "").isdigit():
        return get_terminal_size().columns
    return UNBOUNDED
