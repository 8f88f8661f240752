"""All that can fail fails together for a minute, and the books balance: ``benchmarks/soak.py``."""

import subprocess
import sys
from pathlib import Path

import pytest

SOAK = Path(__file__).parents[2] / "benchmarks" / "soak.py"
SECONDS = 60
"""Of harm; some more until all that waits has run."""

SEED = 11
"""Has each kind of harm within this minute."""

LONGEST_SECONDS = 500


@pytest.mark.slow
@pytest.mark.timeout(LONGEST_SECONDS + 200)  # so it begins first, and nothing waits for it
def test_the_books_balance_after_a_minute_of_harm():
    soak = subprocess.run(
        [sys.executable, str(SOAK), "--seconds", str(SECONDS), "--seed", str(SEED)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_SECONDS,
    )

    print(soak.stdout)
    assert soak.returncode == 0
    assert soak.stdout.endswith("the books balance\n")
