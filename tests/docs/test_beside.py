"""The small application of docs/beside.md, and the commands that the page names."""

import re
import sys
from pathlib import Path

import pytest

from spigot import enqueue
from spigot.testing import inline
from tests.support.command_line import run_spigot
from tests.support.page_files import write_files

PAGE = (Path(__file__).parents[2] / "docs" / "beside.md").read_text()


@pytest.fixture
def folder(tmp_path, monkeypatch):
    assert write_files(PAGE, tmp_path) == ["calls.py", "buckets.json"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    sys.modules.pop("calls", None)


def test_the_smallest_application_runs(folder):
    with inline():
        job = enqueue("call", {"order_id": 7})

    assert (job.result, job.bucket) == ("called the partner about order 7", "partner")


def test_what_stands_in_for_cron_is_a_command():
    assert "`spigot job submit TYPE JSON`" in PAGE
    assert run_spigot("job", "submit", "--help").exit_code == 0


@pytest.mark.parametrize("row", re.findall(r"^\|.*\|$", PAGE, re.MULTILINE))
def test_each_row_says_something_of_each_system(row):
    assert row.count("|") == 7
