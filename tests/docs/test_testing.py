"""The application of docs/testing.md and its tests, put into a folder and run by pytest."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

UNUSED = ["-p", "no:schemathesis", "-p", "no:hypothesispytest", "-p", "no:anyio"]
"""Plugins of ours that the page does not use; they take longer to load than its tests take."""

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
APP, VIEW, JOB_TYPE, CONFTEST = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
FIXTURES = """
import os
from spigot import enqueue


def test_the_fake(spigot_fake):
    enqueue("receipt", {"order_id": 7})
    assert spigot_fake.jobs == [("receipt", {"order_id": 7})]


def test_the_server_is_real_and_empty(spigot_server):
    assert spigot_server.dbsize() == 0
    enqueue("receipt", {"order_id": 7})
    assert spigot_server.llen("rq:queue:mail") == 1
    assert os.environ["REDIS_URL"].startswith("unix://")


def test_the_server_is_empty_again(spigot_server):
    assert spigot_server.dbsize() == 0
"""


@pytest.mark.slow
@pytest.mark.parametrize("options", [[], ["-n", "2"]])
def test_what_the_page_shows_passes(tmp_path, options, monkeypatch):
    monkeypatch.setenv("SPIGOT_APPS", "shop")
    monkeypatch.delenv("REDIS_URL", raising=False)
    files = {"shop": APP, "test_view": VIEW, "test_jobs": JOB_TYPE, "conftest": CONFTEST}
    for name, text in {**files, "test_fixtures": FIXTURES}.items():
        (tmp_path / f"{name}.py").write_text(text)

    (tmp_path / "buckets.json").write_text("{}")

    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *UNUSED, *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    assert "6 passed" in done.stdout, done.stdout
