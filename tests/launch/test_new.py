import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from spigot.runtime.listening_socket import free_port
from tests.support.command_line import run_spigot
from tests.support.processes import wait_for, whole_lines

BIN = Path(sys.executable).parent


@pytest.fixture
def shop(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run_spigot("new", "shop").exit_code == 0
    return tmp_path / "shop"


def test_the_folder_has_all_that_an_application_needs(shop):
    assert sorted(path.name for path in shop.iterdir()) == [
        ".env",
        "README.md",
        "buckets.json",
        "rate_limits.json",
        "shop.py",
        "test_shop.py",
    ]
    assert not [path for path in shop.iterdir() if "$" in path.read_text()]


def test_an_existing_folder_is_left_as_it_is(shop):
    (shop / "shop.py").write_text("mine")

    result = run_spigot("new", "shop")

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: shop exists already: choose another name\n"
    assert (shop / "shop.py").read_text() == "mine"


@pytest.mark.parametrize(
    "name", ["redis", "spigot", "time", "class", "My Shop", "../shop", "1st", "shop.py"]
)
def test_a_name_that_no_module_can_have_is_refused(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)

    result = run_spigot("new", name)

    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_three_commands_of_its_readme_work(shop):
    commands = re.findall(r"```\n(.*?)\n```", (shop / "README.md").read_text(), re.DOTALL)
    up, submit, test = map(shlex.split, commands)
    environment = {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": str(shop), "PORT": str(free_port())}
    options = {"cwd": shop, "env": environment, "text": True}

    with (shop / "up.log").open("w") as log:
        process = subprocess.Popen(up, stdout=log, stderr=log, **options)
    try:
        wait_for(
            lambda: process.poll() is not None or "Try it" in (shop / "up.log").read_text(), 60
        )
        submitted = subprocess.run(submit, capture_output=True, **options)
        assert submitted.returncode == 0, submitted.stderr + (shop / "up.log").read_text()
        wait_for(lambda: whole_lines(shop / "data" / "results.jsonl"), 30)
    finally:
        process.terminate()
        process.wait(60)

    [line] = whole_lines(shop / "data" / "results.jsonl")
    assert (json.loads(line)["status"], json.loads(line)["log"]) == ("finished", {"title": "tap"})
    tested = subprocess.run([*test, "-p", "no:cacheprovider"], capture_output=True, **options)
    assert "3 passed" in tested.stdout, tested.stdout
