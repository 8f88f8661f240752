"""The formula, the table and the file of docs/how-many-workers.md."""

import re
from math import ceil
from pathlib import Path

import pytest

from spigot.jobs.bucket.config import FILE
from spigot.runtime.rate import Rate
from tests.support.page_files import blocks_of

PAGE = (Path(__file__).parents[2] / "docs" / "how-many-workers.md").read_text()
(FORMULA,) = blocks_of(PAGE, "python")
(BUCKETS,) = blocks_of(PAGE, "json")
RUN_TIMES = [0.2, 1, 10, 60]
ROWS = re.findall(r"^\| `(\d+/[ms])` \| (.*) \|$", PAGE, re.MULTILINE)


def workers(rate, run_time, capsys):
    """Run the formula of the page with other numbers."""
    text = re.sub(r"^rate = .*", f"rate = {rate}", FORMULA, flags=re.MULTILINE)
    exec(re.sub(r"^run_time = .*", f"run_time = {run_time}", text, flags=re.MULTILINE), {})
    return int(capsys.readouterr().out)


@pytest.mark.parametrize(("rate", "cells"), ROWS)
def test_the_table_follows_the_formula(rate, cells, capsys):
    per_second = 1_000_000 / Rate.parse(rate).interval_us

    told = [int(cell) for cell in cells.split("|")]
    assert told == [workers(per_second, run_time, capsys) for run_time in RUN_TIMES]


def test_the_file_has_as_many_workers_as_the_formula_says(capsys):
    exec(FORMULA, {})

    bucket = FILE.validate_json(BUCKETS)["openai"]
    assert int(capsys.readouterr().out) == bucket.workers
    assert bucket.max_running == ceil(bucket.workers / 1.25)


def test_there_is_a_table():
    assert len(ROWS) == 5
