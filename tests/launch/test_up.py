import json
import os
import re
import signal
import time
from contextlib import contextmanager, suppress
from itertools import takewhile
from pathlib import Path
from unittest.mock import patch
from urllib.request import urlopen

import pytest
from redis import Redis

from spigot.launch.admin_password import kept_password
from spigot.launch.web_url import find_web_url
from spigot.runtime.listening_socket import free_port, listen
from tests.support.command_line import run_spigot
from tests.support.processes import descendants, is_alive, run_script, wait_for

WEB = r"""
import http.server, os, signal, sys
host, port, notes = sys.argv[2], int(sys.argv[4]), os.environ["NOTES"]
def note(text):
    with open(notes, "a") as file:
        file.write(text + "\n")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
def stop(*_):
    note("web stopped")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
if os.environ.get("WEB_FAILS"):
    sys.exit("web: the rules are broken")
note(f"web started with {os.environ.get('REDIS_URL')} {os.environ.get('SPIGOT_ADMIN_PASSWORD')}")
http.server.HTTPServer((host, port), Handler).serve_forever()
"""

WORKERS = r"""
import os, signal, sys, time
def note(text):
    with open(os.environ["NOTES"], "a") as file:
        file.write(text + "\n")
def stop(*_):
    note("workers stopped")
    os._exit(0)
signal.signal(signal.SIGTERM, stop)
if os.environ.get("WORKERS_FAIL"):
    sys.exit("workers: the application is broken")
note(f"workers started with {os.environ.get('REDIS_URL')}")
os.write(int(sys.argv[sys.argv.index("--tell-plan") + 1]), b"{}\n")
time.sleep(600)
"""

UP = f"""
import sys
from spigot.launch import up
up.WEB = (sys.executable, "-c", {WEB!r})
up.WORKERS = (sys.executable, "-c", {WORKERS!r})
sys.argv = ["spigot", "up", *sys.argv[1:]]
from spigot.__main__ import main
main()
"""
"""``spigot up`` with stand-ins for web and workers, which note what happens to them."""

REAL_UP = "import sys; sys.argv = ['spigot', 'up']; from spigot.__main__ import main; main()"
WHOLE_FAMILY = 1 + 3 + 3
"""Server, web with two processes, pool with two workers; more if the examples need them."""


@pytest.fixture
def notes(tmp_path, monkeypatch):
    """File of what the stand-ins note; the settings are the defaults, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    for variable in "REDIS_URL", "SPIGOT_ADMIN_PASSWORD":
        monkeypatch.delenv(variable, raising=False)
    (tmp_path / "rate_limits.json").write_text("{}")
    (tmp_path / "buckets.json").write_text('{"default": {"workers": 2}}')
    monkeypatch.setenv("PORT", str(free_port()))
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    return tmp_path / "notes"


@contextmanager
def running(script=UP, *arguments):
    """Run ``spigot up``; yield once it serves and its stand-ins are ready to be stopped."""
    with run_script(script, *arguments) as process:
        lines = iter(process.stdout.readline, "")
        process.text = "".join(takewhile(lambda line: "enqueue" not in line, lines))
        assert process.text, process.stderr.read()
        if script is UP:
            wait_for(lambda: "workers started" in Path(os.environ["NOTES"]).read_text())
        yield process


def test_says_where_to_look_once_the_api_serves(notes):
    with running() as up:
        url = f"http://127.0.0.1:{os.environ['PORT']}"
        assert f"API         {url}\n" in up.text
        assert urlopen(f"{url}/livez").status == 200
        assert re.search(r"user admin, password \S{16}\)", up.text)


def test_web_and_workers_are_told_the_server_and_the_password(notes):
    with running() as up:
        ((url, password),) = re.findall(r"web started with (\S+) (\S+)", notes.read_text())

        assert f"workers started with {url}\n" in notes.read_text()
        assert f"password {password})" in up.text
        with Redis.from_url(url) as redis:
            assert redis.ping()


def test_the_password_is_kept_from_one_start_to_the_next(notes):
    passwords = set()
    for _ in range(2):
        with running() as up:
            passwords |= set(re.findall(r"password (\S{16})\)", up.text))
            assert find_web_url(Path("data")) == f"http://127.0.0.1:{os.environ['PORT']}"
            up.terminate()
            assert up.wait(20) == 0
    assert passwords == {kept_password(Path("data"))}


@pytest.mark.parametrize("stop_signal", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_web_then_workers_then_server(notes, stop_signal):
    with running() as up:
        children = descendants(up.pid)
        up.send_signal(stop_signal)

        assert up.wait(20) == 0
        assert not any(map(is_alive, children))
        stops = [line for line in notes.read_text().splitlines() if "stopped" in line]
        assert stops == ["web stopped", "workers stopped"]
        lines = (json.loads(line) for line in up.stderr)
        assert re.findall("stopping (.*)", "\n".join(line["message"] for line in lines)) == [
            "web",
            "workers",
            "the embedded server",
        ]


def test_jobs_that_wait_at_a_stop_are_there_at_the_next_start(notes):
    with running() as up:
        with connection(notes) as redis:
            redis.rpush("rq:queue:default", "job-1", "job-2")
        up.terminate()
        assert up.wait(20) == 0
    notes.unlink()

    with running(), connection(notes) as redis:
        assert redis.lrange("rq:queue:default", 0, -1) == [b"job-1", b"job-2"]


def test_nothing_is_left_two_seconds_after_a_kill_and_the_next_start_works(notes):
    with running() as up:
        children = descendants(up.pid)
        assert len(children) == 3
        up.kill()
        wait_for(lambda: not any(map(is_alive, children)), seconds=2)

    with running():
        pass


def test_a_second_start_on_the_same_folder_names_the_first(notes, monkeypatch):
    url = f"http://127.0.0.1:{os.environ['PORT']}"
    with running() as first:
        monkeypatch.setenv("PORT", str(free_port()))

        second = fail()

        assert f"Spigot runs already (process {first.pid}, data in data): {url}/; stop it" in second
        assert second.count("\n") == 1


def test_a_second_start_with_a_server_of_its_own_names_the_first(notes, monkeypatch, redis_url):
    monkeypatch.setenv("REDIS_URL", redis_url)
    with running() as first:
        assert f"Spigot runs already (process {first.pid}, data in data): " in refused()


def test_a_spigot_of_another_folder_is_found_out_by_its_port(notes, monkeypatch):
    with running():
        monkeypatch.setenv("SPIGOT_DATA_DIR", "elsewhere")

        assert f"seems to run there: http://127.0.0.1:{os.environ['PORT']}/\n" in refused()


@pytest.mark.slow
def test_dead_workers_are_started_again(notes):
    with running() as up:
        (workers,) = [pid for pid in descendants(up.pid) if "time.sleep(600)" in command(pid)]
        os.kill(workers, signal.SIGKILL)

        wait_for(lambda: notes.read_text().count("workers started") == 2)
        up.terminate()
        assert "workers was killed by SIGKILL; next start in 1 s" in up.stderr.read()


@pytest.mark.parametrize(
    ("child", "name"), [("HTTPServer", "web"), ("valkey-server", "the embedded server")]
)
def test_without_web_or_server_all_ends(notes, child, name):
    with running() as up:
        children = descendants(up.pid)
        (pid,) = [pid for pid in children if child in command(pid)]
        os.kill(pid, signal.SIGKILL)

        assert up.wait(20) == 1
        assert not any(map(is_alive, children))
        assert f"Error: {name} was killed by SIGKILL; everything was stopped\n" in up.stderr.read()


def test_a_web_that_does_not_come_up_is_told_in_its_own_words(notes, monkeypatch):
    monkeypatch.setenv("WEB_FAILS", "1")

    message = fail()

    assert "web: the rules are broken\n" in message
    assert message.endswith("Error: web ended with status 1; everything was stopped\n")


def test_what_stops_the_workers_is_told_once_for_the_web_is_not_yet_started(notes, monkeypatch):
    monkeypatch.setenv("WORKERS_FAIL", "1")

    message = fail()

    assert message.count("workers: the application is broken\n") == 1
    assert message.endswith("Error: workers ended with status 1; everything was stopped\n")
    assert not notes.exists()


def test_a_taken_port_is_one_line_and_nothing_is_started(notes):
    with listen("127.0.0.1", int(os.environ["PORT"])):
        message = refused()

    assert message.startswith(f"Error: cannot listen on 127.0.0.1 port {os.environ['PORT']}: ")
    assert message.count("\n") == 1


def test_broken_buckets_are_one_line(notes, tmp_path):
    (tmp_path / "buckets.json").write_text("{")

    message = refused()

    assert message.startswith("Error: buckets.json: ")
    assert message.count("\n") == 1


@pytest.mark.parametrize("variable", ["SPIGOT_BUCKETS", "SPIGOT_RATE_LIMITS"])
def test_a_file_that_is_named_and_missing_is_one_line(notes, monkeypatch, variable):
    monkeypatch.setenv(variable, "none.json")

    message = refused()

    assert message.startswith(f"Error: {variable}='none.json' cannot be read: ")
    assert message.count("\n") == 1


@pytest.mark.parametrize("apps", ["no_such_app", "spigot.examples,no_such_app.jobs"])
def test_an_application_that_is_nowhere_is_one_line(notes, monkeypatch, apps):
    monkeypatch.setenv("SPIGOT_APPS", apps)

    message = refused()

    assert message.startswith("Error: SPIGOT_APPS: no_such_app")
    assert "there is no module no_such_app, neither in the current folder" in message
    assert message.count("\n") == 1


def test_a_server_that_does_not_answer_is_one_line_without_its_password(notes, monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://:secret@127.0.0.1:1/0")

    message = refused()

    assert message.startswith("Error: the server redis://***@127.0.0.1:1/0 does not answer: ")
    assert message.count("\n") == 1


def test_uses_the_server_that_is_set_and_makes_up_no_password(notes, monkeypatch, redis_url):
    monkeypatch.setenv("REDIS_URL", redis_url)

    with running() as up:
        assert f"web started with {redis_url} None\n" in notes.read_text()
        assert f"server      {redis_url}\n" in up.text
        assert "dashboard   off: set SPIGOT_ADMIN_PASSWORD\n" in up.text
        assert len(descendants(up.pid)) == 2


def test_a_password_that_is_set_is_kept(notes, monkeypatch):
    monkeypatch.setenv("SPIGOT_ADMIN_PASSWORD", "my own")

    with running() as up:
        assert notes.read_text().count(" my own\n") == 1
        assert "my own" not in up.text


def test_a_data_folder_that_cannot_be_used_is_one_line(notes, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPIGOT_DATA_DIR", "file")

    assert refused() == "Error: SPIGOT_DATA_DIR=file cannot be used: File exists\n"


def test_says_why_the_embedded_server_did_not_start(notes, tmp_path):
    (tmp_path / "data" / "valkey-9").mkdir(parents=True)
    (tmp_path / "data" / "valkey-9" / "appendonlydir").touch()

    assert fail().endswith(
        "Error: the embedded server ended with status 1; everything was stopped: "
        "Can't open or create append-only dir appendonlydir: Not a directory\n"
    )


def test_port_0_takes_a_free_port(notes, monkeypatch):
    monkeypatch.setenv("PORT", "0")

    with running() as up:
        (url,) = re.findall(r"API +(http://127\.0\.0\.1:[1-9]\d*)\n", up.text)
        assert urlopen(f"{url}/livez").status == 200


def test_options_win_over_the_environment(notes):
    port = free_port()

    with running(UP, "--port", port, "--workers", 3) as up:
        assert f"http://127.0.0.1:{port}\n" in up.text
        assert any("--count 3 " in command(pid) for pid in descendants(up.pid))


def test_the_real_web_and_workers_stop_within_seconds(notes):
    with running(REAL_UP) as up:
        wait_for(lambda: len(descendants(up.pid)) >= WHOLE_FAMILY)
        children = descendants(up.pid)
        up.terminate()

        assert up.wait(20) == 0
        assert not any(map(is_alive, children))


@pytest.mark.slow
def test_a_bucket_that_is_not_in_the_file_is_warned_of_once(notes):
    with running(REAL_UP) as up:
        up.terminate()

        assert up.stderr.read().count("bucket documents is not in buckets.json") == 1


@pytest.mark.slow
@pytest.mark.parametrize("signals", [1, 2])
def test_a_real_worker_that_stands_still_does_not_keep_all_from_stopping(
    notes, monkeypatch, signals
):
    monkeypatch.setenv("SPIGOT_GRACE_SECONDS", "0" if signals == 1 else "600")
    with running(REAL_UP) as up:
        wait_for(lambda: len(descendants(up.pid)) >= WHOLE_FAMILY)
        children = descendants(up.pid)
        workers = [pid for pid in children if " worker" in command(pid)]
        os.kill(max(workers), signal.SIGSTOP)  # the latest: the pool is older than its workers
        up.terminate()
        if signals == 2:
            time.sleep(1.2)
            up.terminate()

        assert up.wait(20) == 0
        assert not any(map(is_alive, children))


@pytest.mark.slow
def test_nothing_is_left_of_the_real_web_and_workers_after_a_kill(notes):
    with running(REAL_UP) as up:
        wait_for(lambda: len(descendants(up.pid)) >= WHOLE_FAMILY)
        children = descendants(up.pid)
        up.kill()

        wait_for(lambda: not any(map(is_alive, children)), seconds=2)


@pytest.mark.slow
def test_a_folder_of_the_users_does_not_stand_in_for_a_package_of_ours(notes, tmp_path):
    (tmp_path / "jobs").mkdir()
    (tmp_path / "jobs" / "__init__.py").write_text("raise SystemExit('the wrong package')")

    with running(REAL_UP):
        pass


def refused():
    """Run ``spigot up`` in this process, which must not get to starting anything."""
    with (
        patch("spigot.launch.up.Supervisor.start", side_effect=AssertionError) as start,
        patch("spigot.launch.up.set_up_logging"),  # this process has other tests to log
    ):
        ended = run_spigot("up")
    assert not start.called
    assert ended.exit_code == 1
    return ended.stderr


def fail():
    """Run ``spigot up`` to its end, which must be a failure; return what it said of it."""
    with run_script(UP) as up:
        message = up.stderr.read()
        assert up.wait(20) == 1
        return message


def command(pid):
    with suppress(FileNotFoundError):
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    return ""


def connection(notes):
    return Redis.from_url(re.findall(r"web started with (\S+)", notes.read_text())[0])
