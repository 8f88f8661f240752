"""Draws docs/load.svg from docs/load.json: requests, refusals and leaks over time.

.locust/bin/python benchmarks/plot_load.py
"""

import json
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams["svg.hashsalt"] = "load"  # the same numbers make the same file
from matplotlib import pyplot  # noqa: E402 - the backend is chosen before

DOCS = Path(__file__).parents[1] / "docs"
WORDS = {"202": "202 accepted", "429": "429 rate limit", "503": "503 bucket full"}
COLOURS = {"202": "#2a7f3f", "429": "#d18f00", "503": "#b03a48"}
LEAK_COLOURS = {"default": "#1f5fa8", "documents": "#7b4fa3"}


def main() -> None:
    """Draw a column for each phase: answers above, leaks below."""
    phases = json.loads((DOCS / "load.json").read_text())["phases"]
    figure, rows = pyplot.subplots(
        2, len(phases), figsize=(12, 5.5), sharex=True, height_ratios=(3, 2), layout="constrained"
    )
    for phase, above, below in zip(phases, rows[0], rows[1], strict=True):
        above.set_title(phase["name"], fontsize=10)
        draw_answers(above, phase["answers"])
        draw_leaks(below, phase["leaks"])
        below.set_xlabel("seconds")
    rows[0][0].set_ylabel("answers per second")
    rows[1][0].set_ylabel("leaks per second")
    rows[0][0].legend(fontsize=8)
    rows[1][0].legend(fontsize=8)
    figure.savefig(DOCS / "load.svg", metadata={"Date": None})


def draw_answers(axes: Any, answers: dict[str, Any]) -> None:
    """Draw the answers of each status, whatever was asked for."""
    for status, word in WORDS.items():
        counts = [
            kind["per_second"][status] for kind in answers.values() if status in kind["per_second"]
        ]
        if counts:
            axes.plot(
                [sum(second) for second in zip(*counts, strict=True)],
                color=COLOURS[status],
                label=word,
            )
    axes.set_ylim(bottom=0)


def draw_leaks(axes: Any, leaks: dict[str, Any]) -> None:
    """Draw how many jobs left each bucket."""
    for bucket, left in leaks.items():
        axes.plot(left["per_second"], color=LEAK_COLOURS[bucket], label=f"bucket {bucket}")
    axes.set_ylim(0, 14)


if __name__ == "__main__":
    main()
