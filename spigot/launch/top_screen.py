"""What ``spigot top`` shows: 30 minutes of each bucket as sparklines, and why it is as it is."""

from collections.abc import Sequence

import click

from spigot.jobs.overview.history import Cell
from spigot.jobs.overview.number_texts import rate_text, unit_of
from spigot.jobs.overview.outlook import pace_of
from spigot.jobs.overview.reading import BucketView
from spigot.jobs.overview.verdict import Verdict, judge
from spigot.runtime.count_text import count_text
from spigot.runtime.terminal import printable

BARS = " ▁▂▃▄▅▆▇█"
COLOURS = {"bad": "red", "warn": "yellow", "ok": "blue", "soft": "bright_black"}
NARROWEST, WIDEST = 10, 60
BESIDE = 46
"""Columns that stand beside a sparkline."""

LINES_OF_BUCKET = 3
KEYS = "up/down choose   p pause   r resume   l release   q quit"


def screen(
    views: Sequence[BucketView], chosen: int | None, width: int, height: int, message: str = ""
) -> str:
    """Return the whole screen, as many lines as there are.

    Args:
        views: The buckets in their order.
        chosen: Index of the one that keys act on; None: there are no keys, and all are shown.
        width: Columns of the terminal.
        height: Its lines.
        message: What the last key did.
    """
    judged = [(view, judge(view)) for view in views]
    need = sum(verdict.rank <= 3 for _, verdict in judged)
    waiting = sum(view.state.waiting for view in views)
    failed = sum(view.failed for view in views)
    buckets = count_text(len(views), "bucket")
    needs, wait = count_text(need, "needs", "need"), count_text(waiting, "waits", "wait")
    head = f"{buckets}, {needs} you   {wait}   {failed:,} failed"
    room = len(views) if chosen is None else max(1, (height - 3) // LINES_OF_BUCKET)
    first = min(max(0, (chosen or 0) - room + 1), max(0, len(views) - room))
    lines = [click.style(_cut(head, width), bold=True)]
    for index, (view, verdict) in enumerate(judged[first : first + room], first):
        lines += _bucket_lines(view, verdict, width, is_chosen=index == chosen)
    if chosen is not None:
        lines += ["", _cut(message or KEYS, width)]
    return "\n".join(lines)


def sparkline(values: Sequence[float], highest: float, columns: int) -> str:
    """Return values as bars, in as many columns; the latest is at the right."""
    per_column = max(1, len(values) // columns)
    kept = values[-per_column * columns :]
    means = [sum(kept[at : at + per_column]) / per_column for at in range(0, len(kept), per_column)]
    return "".join(_bar(mean, highest) for mean in means)


def _bar(value: float, highest: float) -> str:
    if value <= 0 or highest <= 0:
        return BARS[0]
    return BARS[max(1, min(len(BARS) - 1, round(value / highest * (len(BARS) - 1))))]


def _bucket_lines(view: BucketView, verdict: Verdict, width: int, *, is_chosen: bool) -> list[str]:
    state = view.state
    columns = max(NARROWEST, min(WIDEST, (width - BESIDE) // 2))
    badge = verdict.badges[0]
    words = " and ".join(badge.word for badge in verdict.badges)
    name = f"{'>' if is_chosen else ' '} {state.name}"
    why = _cut(printable(verdict.why(is_admin=True)), max(0, width - len(name) - len(words) - 4))
    starts, waits = _starts(view.history), [float(cell.waiting) for cell in view.history]
    rates = [cell.rate for cell in view.history]
    unit = unit_of(state.rate)
    rate = printable(state.rate.partition(" burst ")[0])
    pace = f"{rate_text(pace_of(view), unit)} of {rate}"
    return [
        f"{click.style(name, bold=is_chosen)}  {click.style(words, fg=COLOURS[badge.tone])}  {why}",
        _cut(
            f"  starts {sparkline(starts, max(*rates, *starts), columns)} {pace:<18.18} "
            f"waits {sparkline(waits, max(state.capacity, *waits), columns)} "
            f"{state.waiting:,} of {state.capacity:,}",
            width,
        ),
        "",
    ]


def _starts(history: Sequence[Cell]) -> list[float]:
    return [cell.starts / 5 for cell in history]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: max(0, width - 1)]}…"
