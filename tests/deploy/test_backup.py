"""A copy of the server is made and restored as docs/operations.md says, and the jobs run."""

import shutil
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis

from tests.support.consistency import problems, status_of
from tests.support.fleet import Fleet
from tests.support.processes import wait_for
from tests.support.servers import start_server, wait_until_up

PAGE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
BACKUP = PAGE.partition("\n## Back-up\n")[2]


@contextmanager
def server_in(folder, appendonly):
    """Run a server on the files of a folder; yield its URL. It ends as by SIGTERM."""
    socket = folder / "redis.sock"
    options = ["--port", "0", "--unixsocket", str(socket), "--dir", str(folder)]
    process = start_server(*options, "--appendonly", appendonly)
    try:
        wait_until_up(f"unix://{socket}")
        yield f"unix://{socket}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def folders():
    """Of the first server and of the one that takes its place; paths of sockets must be short."""
    with (
        TemporaryDirectory(prefix="spigot-") as first,
        TemporaryDirectory(prefix="spigot-") as other,
    ):
        yield Path(first), Path(other)


@pytest.mark.slow
def test_jobs_that_waited_when_the_copy_was_made_run_after_the_restore(folders, tmp_path):
    first, other = folders
    with server_in(first, "yes") as url, Redis.from_url(url) as redis:
        fleet = Fleet(url, tmp_path)
        queue = fleet.queue(redis)
        ids = [queue.enqueue("echo", {"text": str(number)}).id for number in range(20)]
        assert fleet.spigot("bucket", "rate", "default", "50/s").returncode == 0
        redis.bgsave()
        wait_for(lambda: not redis.info("persistence")["rdb_bgsave_in_progress"], 20)
        later = queue.enqueue("echo", {}).id
        shutil.copy(first / "dump.rdb", other)

    with server_in(other, "no") as url, Redis.from_url(url) as redis:
        redis.config_set("appendonly", "yes")
        wait_for(lambda: not redis.info("persistence")["aof_rewrite_in_progress"], 20)
        wait_for(lambda: redis.info("persistence")["aof_current_size"] > 0, 20)

    with server_in(other, "yes") as url, Redis.from_url(url) as redis:
        fleet = Fleet(url, tmp_path)
        with fleet.workers(1):
            wait_for(lambda: all(status_of(redis, each) == "finished" for each in ids), 30)
        assert fleet.spigot("bucket", "show", "default", "--json").stdout.count('"50/s"') >= 1
        assert status_of(redis, later) == ""
        assert not list(problems(redis, "default", ids))


def test_the_page_names_these_steps():
    for words in ("bgsave", "dump.rdb", "--appendonly no", "config set appendonly yes"):
        assert words in BACKUP
