"""The counters of several web processes, and the folder that they share them in."""

import fcntl
import os
import re
import signal
from contextlib import contextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client.parser import text_string_to_metric_families

from spigot.runtime.listening_socket import free_port
from spigot.webapp.metrics.folder import MetricsFolderError, metrics_folder
from tests.support.command_line import run_spigot
from tests.support.processes import descendants, run_script, wait_for

WEB = "import sys; sys.argv[0] = 'spigot'; from spigot.__main__ import main; main()"


@pytest.fixture
def parent(tmp_path, redis, redis_url, monkeypatch):
    """Where the webs of a test keep their folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("SPIGOT_APPS", "tests.support.minimal_app")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[3]))
    (tmp_path / "rate_limits.json").write_text("{}")
    (tmp_path / "buckets.json").write_text("{}")
    return tmp_path / "data" / "metrics"


@contextmanager
def serving():
    with run_script(WEB, "web", "--port", free_port()) as web:
        line = next(line for line in web.stderr if "serving " in line)
        (web.url,) = re.findall(r"serving (http://[\w.:]+)", line)
        yield web


def ask(web, path):
    try:
        with urlopen(web.url + path, timeout=20) as response:
            return response.read().decode()
    except HTTPError as error:
        return error.read().decode()


def value_of(web, name, **labels):
    for family in text_string_to_metric_families(ask(web, "/metrics")):
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return sample.value
    return 0


def counting_processes(parent):
    (folder,) = parent.iterdir()
    return {int(path.stem.rpartition("_")[2]) for path in folder.glob("counter_*.db")}


def ask_both(web, parent):
    """Ask until both processes have served, and say how often that was."""
    asked = 0
    while len(counting_processes(parent) & descendants(web.pid)) < 2:
        ask(web, "/jobs/none")
        asked += 1
    return asked


def test_each_process_shows_what_all_have_counted(parent):
    with serving() as web:
        asked = ask_both(web, parent)

        shown = {value_of(web, "spigot_http_responses_total", code="404") for _ in range(20)}

    assert shown == {asked}


def test_what_a_dead_process_counted_stays_and_what_it_had_under_way_goes(parent):
    with serving() as web:
        asked = ask_both(web, parent)
        (folder,) = parent.iterdir()
        dead = descendants(web.pid)
        for process in dead:
            os.kill(process, signal.SIGKILL)

        wait_for(lambda: not any((folder / f"gauge_livesum_{pid}.db").exists() for pid in dead))
        assert value_of(web, "spigot_http_responses_total", code="404") == asked


def test_nothing_is_left_of_a_web_that_was_stopped(parent):
    with serving() as web:
        ask(web, "/livez")
        web.terminate()
        assert web.wait(20) == 0

    assert list(parent.iterdir()) == []


@pytest.mark.slow
def test_what_a_killed_web_left_is_removed_by_the_next_alone(parent):
    with serving() as one, serving() as other:
        left, kept = sorted(parent.iterdir(), key=os.path.getmtime)
        if not list(left.glob(f"*_{one.pid}.db")):
            left, kept = kept, left
        processes = descendants(one.pid)
        one.kill()
        wait_for(
            lambda: not processes & descendants(1) and not processes & descendants(os.getpid())
        )
        with serving():
            assert not left.exists()
            assert kept.exists()
            assert value_of(other, "spigot_server_up") == 1


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")

    with (
        pytest.raises(MetricsFolderError, match=f"keeps its counters in {tmp_path}/file/metrics"),
        metrics_folder(tmp_path / "file" / "metrics"),
    ):
        pytest.fail("entered")


def test_a_process_that_keeps_the_lock_ends_the_start_with_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr("spigot.webapp.metrics.folder.LOCK_SECONDS", 0.2)
    holder = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(holder, fcntl.LOCK_EX)
    try:
        with (
            pytest.raises(MetricsFolderError, match=f"{tmp_path}, and another process has had"),
            metrics_folder(tmp_path),
        ):
            pytest.fail("entered")
    finally:
        os.close(holder)


def test_the_web_does_not_start_without_it(tmp_path, monkeypatch, redis_url):
    (tmp_path / "data").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("REDIS_URL", redis_url)

    result = run_spigot("web", "--port", str(free_port()))

    assert result.exit_code == 1
    *_, last = result.stderr.splitlines()  # after the line that names the missing files
    assert re.fullmatch(r"Error: the web keeps its counters in .*", last)
