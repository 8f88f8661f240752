import os
import stat
import subprocess
import sys

import pytest

from spigot.runtime.server.server_url import (
    DataDirError,
    NoServerError,
    ServerUrlFile,
    find_server_url,
    without_password,
)
from spigot.runtime.settings import Settings

URL = "redis://:secret@127.0.0.1:7000/0"
HOLD_UNTIL_KILLED = """
import sys, time
from pathlib import Path
from spigot.runtime.server.server_url import ServerUrlFile
with ServerUrlFile(Path(sys.argv[1])) as file:
    file.publish(sys.argv[2])
    print("ready", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def settings(tmp_path):
    return Settings(_env_file=None, redis_url=None, data_dir=tmp_path)


def test_redis_url_wins(tmp_path):
    settings = Settings(_env_file=None, redis_url="redis://elsewhere", data_dir=tmp_path)

    with ServerUrlFile(tmp_path) as file:
        file.publish(URL)

        assert find_server_url(settings) == "redis://elsewhere"


def test_finds_the_server_of_the_running_spigot_up(settings, tmp_path):
    with ServerUrlFile(tmp_path) as file:
        file.publish(URL)

        assert find_server_url(settings) == URL


def test_says_what_to_do_when_nothing_runs(settings):
    with pytest.raises(NoServerError, match="set REDIS_URL, or run `spigot up`"):
        find_server_url(settings)


def test_says_in_which_folder_nothing_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    elsewhere = Settings(_env_file=None, redis_url=None, data_dir="data")

    with pytest.raises(NoServerError) as raised:
        find_server_url(elsewhere)

    assert str(raised.value).endswith(f"; none runs on SPIGOT_DATA_DIR=data in {tmp_path}")


def test_says_that_spigot_up_is_still_starting(settings, tmp_path):
    with (
        ServerUrlFile(tmp_path),
        pytest.raises(NoServerError, match=rf"process {os.getpid()}\) is starting"),
    ):
        find_server_url(settings)


def test_only_its_owner_may_read_the_file(tmp_path):
    (tmp_path / "server-url").touch(mode=0o644)

    with ServerUrlFile(tmp_path) as file:
        file.publish(URL)

        assert stat.S_IMODE((tmp_path / "server-url").stat().st_mode) == 0o600


def test_nothing_is_left_in_the_file_after_a_stop(settings, tmp_path):
    with ServerUrlFile(tmp_path) as file:
        file.publish(URL)

    assert (tmp_path / "server-url").read_text() == ""
    with pytest.raises(NoServerError):
        find_server_url(settings)


def test_a_file_left_by_a_killed_run_is_stale(settings, tmp_path):
    with held_by_another_process(tmp_path) as holder:
        assert find_server_url(settings) == URL
        holder.kill()

    assert URL in (tmp_path / "server-url").read_text()
    with pytest.raises(NoServerError, match="run `spigot up`"):
        find_server_url(settings)


def test_the_next_run_takes_over_from_a_killed_one(settings, tmp_path):
    with held_by_another_process(tmp_path) as holder:
        holder.kill()

    with ServerUrlFile(tmp_path) as file:
        file.publish("redis://next")

        assert find_server_url(settings) == "redis://next"


def test_a_second_run_names_the_process_of_the_first(tmp_path):
    with (
        ServerUrlFile(tmp_path),
        pytest.raises(DataDirError, match=rf"another spigot up \(process {os.getpid()}\)"),
        ServerUrlFile(tmp_path),
    ):
        pass


def test_a_data_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").touch()

    with (
        pytest.raises(DataDirError, match=r"^SPIGOT_DATA_DIR=.*/file/data cannot be used: .*$"),
        ServerUrlFile(tmp_path / "file" / "data"),
    ):
        pass


def test_a_file_that_cannot_be_read_is_one_line(settings, tmp_path):
    (tmp_path / "server-url").mkdir()

    with pytest.raises(NoServerError, match=r"cannot be read: .*; set REDIS_URL"):
        find_server_url(settings)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://user:secret@host:1/2", "rediss://***@host:1/2"),
        ("redis://:p%40ss@host", "redis://***@host"),
        ("redis://host/0?password=secret", "redis://host/0"),
        ("unix:///run/redis.sock?password=secret", "unix:///run/redis.sock"),
    ],
)
def test_a_url_is_shown_without_its_password(url, shown):
    assert without_password(url) == shown


def held_by_another_process(data_dir):
    command = [sys.executable, "-c", HOLD_UNTIL_KILLED, str(data_dir), URL]
    holder = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert holder.stdout.readline() == b"ready\n"
    return holder
