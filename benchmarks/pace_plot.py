"""Draws the gaps between starts as SVG, a panel for each system."""

from html import escape

from pace_measure import Cell

WIDTH, PANEL, LEFT, TOP = 900, 90, 230, 40
MOST = 3.0
"""Gaps that are longer, in intervals, are drawn at the upper edge."""


def draw(gaps: dict[str, list[int]], cell: Cell) -> str:
    """Return a picture: from left to right the jobs, upwards the gap before each, in intervals."""
    height = TOP + PANEL * len(gaps) + 10
    title = f"Gaps between starts at {cell.rate}/s with {cell.workers} workers; the line is even"
    panels = "".join(
        _panel(number, name, [us / cell.interval_us for us in found])
        for number, (name, found) in enumerate(gaps.items())
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'font-family="sans-serif" font-size="13">'
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>'
        f'<text x="10" y="22" font-size="15">{escape(title)}</text>{panels}</svg>\n'
    )


def _panel(number: int, name: str, gaps: list[float]) -> str:
    bottom = TOP + PANEL * (number + 1) - 15
    scale = (PANEL - 25) / MOST
    step = (WIDTH - LEFT - 10) / max(1, len(gaps))
    dots = "".join(
        f"M{LEFT + step * n:.1f} {bottom - scale * min(gap, MOST):.1f}h1.5"
        for n, gap in enumerate(gaps)
    )
    even = bottom - scale
    return (
        f'<text x="10" y="{bottom - 25}">{escape(name)}</text>'
        f'<path d="M{LEFT} {bottom}H{WIDTH - 10}" stroke="#999"/>'
        f'<path d="M{LEFT} {even:.1f}H{WIDTH - 10}" stroke="#2a7" stroke-dasharray="4 3"/>'
        f'<path d="{dots}" stroke="#c30" stroke-width="1.5"/>'
    )
