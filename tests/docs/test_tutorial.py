"""docs/tutorial.md, typed as it stands there: three shells in a folder of one's own."""

import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from spigot.runtime.listening_socket import free_port
from tests.support.page_files import blocks_of, files_of, write_files
from tests.support.page_sessions import check_printed, run_steps, steps_of
from tests.support.processes import wait_for

PAGE = (Path(__file__).parents[2] / "docs" / "tutorial.md").read_text()
INSTALL, FAKE_AI, SPIGOT = blocks_of(PAGE)
LATER = "rate_limits.json"


@contextmanager
def shell(command, folder, env):
    """Run a command of the page in a shell of its own until the block ends."""
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            shlex.split(command), cwd=folder, env=env, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_what_is_typed_prints_what_the_page_says(tmp_path):
    page = PAGE
    for port in ("8000", "5001"):
        page = page.replace(port, str(free_port()))
    write_files(page, tmp_path)
    (tmp_path / LATER).unlink()
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    _, fake_ai, up = blocks_of(page)
    before, after = page.split(f"`{LATER}`:")
    env["PORT"] = before.partition("/jobs \\")[0].rpartition(":")[2]
    with shell(fake_ai, tmp_path, env), shell(up, tmp_path, env):
        wait_for(lambda: "is running" in (tmp_path / "log").read_text(), 60)
        play(before, tmp_path, env)
        (tmp_path / LATER).write_text(files_of(page)[LATER])
        first = before.partition("$ submit()")[2].partition("\n$ ")[0]
        play(f"```console\n$ submit(){first}\n```\n{after}", tmp_path, env)


def play(part, folder, env):
    """Type the sessions of a part of the page, and compare what they print."""
    steps = steps_of(part)
    printed = run_steps(steps, cwd=folder, env=env, seconds=200)
    check_printed(steps, printed, log=(folder / "log").read_text())


def test_the_page_has_three_shells_and_one_file_that_comes_later():
    assert INSTALL.endswith("pip install spigot-jobs httpx\n")
    assert FAKE_AI.startswith("flask --app fake_ai run")
    assert SPIGOT == "spigot up\n"
    assert list(files_of(PAGE)) == ["fake_ai.py", "summaries.py", "buckets.json", LATER]
