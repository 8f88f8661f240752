"""What docs/deploy.md shows can be started as it stands there."""

import os
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from dotenv import dotenv_values

from spigot.__main__ import COMMANDS
from spigot.runtime.listening_socket import free_port
from spigot.runtime.settings import Settings, variable_name
from tests.support.page_files import blocks_of, write_files
from tests.support.processes import wait_for

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "deploy.md").read_text()
COMMAND_LINES, ENV, CONTAINERS, PROCFILE, GUNICORN, CHECKS = blocks_of(PAGE)


def test_the_commands_exist():
    for line in COMMAND_LINES.splitlines():
        program, command, *_ = shlex.split(line)
        assert (program, command in COMMANDS) == ("spigot", True)


def test_the_settings_are_ours(tmp_path):
    (tmp_path / ".env").write_text(ENV)

    names = set(dotenv_values(tmp_path / ".env"))
    assert names <= {variable_name(field) for field in Settings.model_fields}
    assert Settings(_env_file=tmp_path / ".env").trusted_proxies


def test_the_procfile_is_the_one_of_the_repository():
    assert (ROOT / "Procfile").read_text() == PROCFILE


def test_the_containers_are_those_of_the_repository():
    copied, started = CONTAINERS.splitlines()

    assert all((ROOT / name).exists() for name in copied.split()[1:2])
    assert "worker:" in (ROOT / "docker-compose.yml").read_text()
    assert "--scale worker=" in started


@contextmanager
def started(line, folder):
    """Run a line of the page until the block ends; yield its port."""
    port = str(free_port())
    line = line.replace("8000", port)
    env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)}
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(shlex.split(line), cwd=folder, env=env, stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("line", [COMMAND_LINES.splitlines()[1], GUNICORN])
def test_the_web_starts_and_its_health_is_told(tmp_path, redis, redis_url, line):
    write_files(PAGE, tmp_path)
    (tmp_path / ".env").write_text(ENV.replace("redis://127.0.0.1:6379/0", redis_url))
    with started(line, tmp_path) as port:
        checks = [shlex.split(check.replace("8000", port))[-1] for check in CHECKS.splitlines()]
        for url in checks:
            wait_for(lambda url=url: is_well(url), 30)


def is_well(url):
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False
