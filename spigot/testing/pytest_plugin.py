"""Fixtures for pytest: name this module in ``pytest_plugins`` of your ``conftest.py``.

``spigot_fake`` and ``spigot_inline`` are the blocks of those names, one for each test.
``spigot_server`` is a real server, private to the test run, for tests with real workers.
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis
from redis.exceptions import RedisError

from spigot.jobs.program import program_at
from spigot.launch.server_program import find_server_program
from spigot.runtime.server.redis_connection import connect

from .fake_queue import FakeQueue, fake, inline

START_SECONDS = 10.0
STEP_SECONDS = 0.01


@pytest.fixture
def spigot_fake() -> Iterator[FakeQueue]:
    """Keep what the test enqueues, and run nothing."""
    with fake() as queue:
        yield queue


@pytest.fixture
def spigot_inline() -> Iterator[FakeQueue]:
    """Run each job where the test enqueues it."""
    with inline() as queue:
        yield queue


@pytest.fixture(scope="session")
def spigot_server_url() -> Iterator[str]:
    """Run one server for the process of the tests, without a port and without files."""
    with TemporaryDirectory(prefix="spigot-") as folder:  # the path of a socket must be short
        socket = Path(folder) / "redis.sock"
        options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", folder]
        command = [find_server_program().path, *options]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
            try:
                _wait_until_up(f"unix://{socket}")
                yield f"unix://{socket}"
            finally:
                server.terminate()


@pytest.fixture
def spigot_server(spigot_server_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Redis]:
    """Let the test use a real server that is empty; its URL is in ``REDIS_URL`` meanwhile."""
    monkeypatch.setenv("REDIS_URL", spigot_server_url)
    program_at.cache_clear()
    with connect(spigot_server_url, timeout=START_SECONDS) as redis:
        redis.flushall()
        yield redis
    program_at.cache_clear()


def _wait_until_up(url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    with connect(url, timeout=1) as redis:
        while True:
            try:
                redis.ping()
            except RedisError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(STEP_SECONDS)
            else:
                return
