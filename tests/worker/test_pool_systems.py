"""The pool is measured beside other systems: ``benchmarks/pool_systems.py``."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "pool_systems.py"
WAITING = 3
SMALL = [
    "--at-hand",
    "--waiting",
    str(WAITING),
    "--short",
    "40",
    "--rounds",
    "1",
    "--settle",
    "0.3",
]
SPIGOT = ["Spigot's pool, coroutines", "Spigot's pool, functions"]
LONGEST_SECONDS = 300


@pytest.mark.slow
@pytest.mark.timeout(LONGEST_SECONDS + 30)
def test_pools_are_measured_beside_rq():
    script = subprocess.run(
        [sys.executable, str(SCRIPT), *SMALL],
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
    )
    assert script.returncode == 0, script.stderr

    memory, short = tables(script.stdout)
    systems = [row[0] for row in memory]
    assert systems == [row[0] for row in short]
    assert systems[:2] == SPIGOT
    assert [name.partition(", ")[2] for name in systems[2:]] == [
        "simple workers",
        "worker-pool of simple workers",
    ], script.stdout
    assert [int(row[1]) for row in memory[:3]] == [3, 3, WAITING], script.stdout
    for row in memory:
        idle, waiting = float(row[2]), float(row[3])
        assert min(idle, waiting) > 10, row
    for row in short:
        assert min(float(row[3]), float(row[5]), float(row[6])) > 0, row


def tables(text):
    """Return the cells of each row below a heading, for each table of a text in Markdown."""
    found = []
    for line in text.splitlines():
        if line.startswith("| ---"):
            found.append([])
        elif line.startswith("| Spigot") or line.startswith("| RQ"):
            found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
    return found
