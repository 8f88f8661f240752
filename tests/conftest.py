"""One private server for the whole run, emptied after each test."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import settings
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from spigot.launch.server_program import find_server_program
from tests.support.clocked_bucket import OneBucket
from tests.support.fleet import Fleet

# The same examples in each run: one that fails is the change's fault. A search for new ones is
# `pytest --hypothesis-profile=search`.
settings.register_profile("repeat", deadline=None, derandomize=True, print_blob=True)
settings.register_profile("search", deadline=None, print_blob=True)
settings.load_profile("repeat")


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """URL of a server that only this test run uses; no port, no disk."""
    socket = Path(mkdtemp(prefix="spigot-")) / "redis.sock"  # a socket's path must be short
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--appendonly", "no"]
    with subprocess.Popen(
        [find_server_program().path, *options], stdout=subprocess.DEVNULL
    ) as server:
        url = f"unix://{socket}"
        wait_until_up(url)
        yield url
        server.terminate()


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as connection:
        yield connection
        connection.flushall()


@pytest.fixture
def bucket(redis: Redis) -> OneBucket:
    return OneBucket(redis)


@pytest.fixture
def fleet(redis: Redis, redis_url: str, tmp_path: Path) -> Fleet:
    """Processes of Spigot, which a test starts, on the server of this run."""
    return Fleet(redis_url, tmp_path)


def wait_until_up(url: str) -> None:
    deadline = time.monotonic() + 10
    with Redis.from_url(url) as connection:
        while True:
            try:
                connection.ping()
                return
            except RedisConnectionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
