import fcntl
import os
import signal
import stat
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis
from redis.exceptions import AuthenticationError

from spigot.launch.child import ChildEndedError
from spigot.launch.embedded_server import EmbeddedServer, EmbeddedServerError
from spigot.launch.server_program import ServerProgram, find_server_program
from spigot.launch.supervisor import Supervisor
from tests.support.processes import is_alive, run_script, wait_for

KILLED_WITH_ITS_SERVER = """
import os, sys, time
from pathlib import Path
from spigot.runtime.server.server_url import ServerUrlFile
from spigot.launch.embedded_server import EmbeddedServer
from spigot.launch.server_program import find_server_program
from spigot.launch.supervisor import Supervisor
with ServerUrlFile(Path(sys.argv[1])) as file, Supervisor() as supervisor:
    server = EmbeddedServer(find_server_program(), Path(sys.argv[1]))
    supervisor.start(server.child(file.fileno()))
    supervisor.wait_until(server.answers, 20)
    print(server.url, flush=True)
    supervisor.run()
"""


@pytest.fixture
def lock(tmp_path):
    file = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    yield file
    os.close(file)


@contextmanager
def running_server(data_dir, lock):
    server = EmbeddedServer(find_server_program(), data_dir)
    with Supervisor() as supervisor:
        supervisor.start(server.child(lock))
        supervisor.wait_until(server.answers, 20)
        yield server


@pytest.fixture
def server(tmp_path, lock):
    with running_server(tmp_path / "data", lock) as server:
        yield server


def test_serves_on_the_loopback_address_with_a_password(server):
    assert server.url.split("@")[1].startswith("127.0.0.1:")
    with connection(server) as redis:
        assert redis.config_get("bind") == {"bind": "127.0.0.1"}
    with (
        Redis.from_url(without_password(server.url)) as stranger,
        pytest.raises(AuthenticationError),
    ):
        stranger.ping()


def test_each_start_makes_up_another_password(tmp_path):
    program = find_server_program()

    assert EmbeddedServer(program, tmp_path).url != EmbeddedServer(program, tmp_path).url


def test_keeps_what_it_accepted_and_evicts_nothing(server):
    with connection(server) as redis:
        settings = redis.config_get("appendonly", "maxmemory-policy", "save")

    assert settings == {"appendonly": "yes", "maxmemory-policy": "noeviction", "save": ""}


def test_no_list_of_processes_shows_the_password(server):
    password = server.url.split(":")[2].split("@")[0]

    seen = Path(f"/proc/{server_pid(server)}/cmdline").read_text()

    assert "valkey-server" in seen
    assert password not in seen


def test_only_its_owner_may_look_into_its_folder(server, tmp_path):
    assert server.folder == tmp_path / "data" / "valkey-9"
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_what_was_accepted_is_there_at_the_next_start(tmp_path, lock, end):
    with running_server(tmp_path, lock) as server, connection(server) as redis:
        redis.rpush("jobs", *range(1000))
        pid = redis.info("server")["process_id"]
        os.kill(pid, end)
        wait_for(lambda: not is_alive(pid))

    with running_server(tmp_path, lock) as server, connection(server) as redis:
        assert redis.llen("jobs") == 1000


def test_the_server_dies_with_a_killed_supervisor(tmp_path):
    with run_script(KILLED_WITH_ITS_SERVER, tmp_path) as supervisor:
        url = supervisor.stdout.readline().strip()
        with Redis.from_url(url) as redis:
            pid = redis.info("server")["process_id"]
        supervisor.kill()

    wait_for(lambda: not is_alive(pid), seconds=2)


def test_the_files_stay_locked_for_as_long_as_the_server_lives(tmp_path):
    lock = os.open(tmp_path / "lock", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)

    with running_server(tmp_path, lock), (tmp_path / "lock").open() as other:
        os.close(lock)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    with (tmp_path / "lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_server_that_cannot_start_gives_its_reason(tmp_path, lock):
    server = EmbeddedServer(find_server_program(), tmp_path)
    server.folder.mkdir()
    (server.folder / "appendonlydir").touch()

    with Supervisor() as supervisor:
        supervisor.start(server.child(lock))
        with pytest.raises(ChildEndedError):
            supervisor.wait_until(server.answers, 20)

    assert server.log_tail() == (
        "Can't open or create append-only dir appendonlydir: Not a directory"
    )


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path, lock):
    (tmp_path / "valkey-9").touch()
    server = EmbeddedServer(ServerProgram("/bin/false", "valkey", (9, 1)), tmp_path)

    with pytest.raises(EmbeddedServerError, match=r"^the embedded server cannot use .*valkey-9: "):
        server.child(lock)


def test_has_no_last_words_if_it_never_ran(tmp_path):
    server = EmbeddedServer(ServerProgram("/bin/false", "valkey", (9, 1)), tmp_path)

    assert server.log_tail() == "it left no log"


def test_knows_the_folders_that_another_engine_left(tmp_path):
    for engine in "redis-7", "valkey-9":
        (tmp_path / engine / "appendonlydir").mkdir(parents=True)
    server = EmbeddedServer(ServerProgram("/bin/false", "valkey", (9, 1)), tmp_path)

    assert server.folders_of_other_engines() == [tmp_path / "redis-7"]


def connection(server):
    return Redis.from_url(server.url, decode_responses=True)


def server_pid(server):
    with connection(server) as redis:
        return redis.info("server")["process_id"]


def without_password(url):
    return "redis://" + url.split("@")[1]
