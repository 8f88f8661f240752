"""The first screen of the README, typed in an empty folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from honcho.environ import parse_procfile

from spigot.runtime.listening_socket import free_port
from tests.support.page_files import write_files
from tests.support.page_sessions import check_printed, run_steps, steps_of
from tests.support.processes import wait_for

ROOT = Path(__file__).parents[2]
FIRST_SCREEN = (ROOT / "README.md").read_text().partition("\n## ")[0]


@pytest.mark.slow
def test_the_first_screen_works_as_it_stands(tmp_path):
    port = str(free_port())
    assert write_files(FIRST_SCREEN, tmp_path) == ["hello.py", "buckets.json", "rate_limits.json"]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {"PATH": path, "HOME": str(tmp_path), "PORT": port}
    with (tmp_path / "log").open("w") as log:
        up = subprocess.Popen(["spigot", "up"], cwd=tmp_path, env=env, stdout=log, stderr=log)
    try:
        wait_for(lambda: "is running" in (tmp_path / "log").read_text(), 60)
        steps = steps_of(FIRST_SCREEN.replace("8000", port))
        printed = run_steps(steps, cwd=tmp_path, env=env, seconds=60)
    finally:
        up.terminate()
        up.wait(60)

    check_printed(steps, printed)


def test_honcho_is_told_the_port():
    pages = [ROOT / "README.md", ROOT / "docs" / "running.md"]

    assert list(parse_procfile((ROOT / "Procfile").read_text()).processes) == ["web", "worker"]
    assert all("honcho start --port 8000" in page.read_text() for page in pages)
