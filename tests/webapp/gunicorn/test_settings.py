import json
import os
import re
import signal
from contextlib import closing, contextmanager
from http.client import HTTPConnection

import pytest
from gunicorn.config import Config
from gunicorn.workers.gthread import ThreadWorker

from spigot.launch.up import WEB_STOP_SECONDS
from spigot.runtime.listening_socket import free_port, listen
from spigot.runtime.settings import Settings
from spigot.webapp.gunicorn.settings import GRACEFUL_SECONDS, gunicorn_settings
from tests.support.processes import descendants, is_alive, run_script, wait_for

WEB = """
import os, sys, time
from flask import Flask, request

import spigot.webapp.gunicorn.commands

def create_app():
    if os.environ.get("CREATE_APP_FAILS"):
        raise SystemExit("the rules are broken")
    app = Flask("stand-in")

    @app.get("/environ")
    def environ():
        names = "REMOTE_ADDR", "SCRIPT_NAME", "PATH_INFO", "wsgi.url_scheme"
        return {name: request.environ[name] for name in names}

    @app.get("/slow")
    def slow():
        def body():
            yield "begun, "
            time.sleep(0.5)
            yield "done"
        return body()

    return app

spigot.webapp.gunicorn.commands.create_app = create_app
spigot.webapp.gunicorn.commands.web(sys.argv[1:])
"""
"""``spigot web`` with an application of the test's."""


@pytest.fixture(autouse=True)
def surroundings(tmp_path, monkeypatch, redis_url):
    monkeypatch.setenv("SPIGOT_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("REDIS_URL", redis_url)


@pytest.fixture
def config():
    settings = Settings(_env_file=None, web_processes=3, web_threads=17)
    config = Config()
    for name, value in gunicorn_settings(settings, listener_fd=7).items():
        config.set(name, value)
    return config


@pytest.fixture(scope="module")
def address(tmp_path_factory, redis_url):
    """Where a web listens that no test disturbs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPIGOT_DATA_DIR", str(tmp_path_factory.mktemp("web")))
        patch.setenv("REDIS_URL", redis_url)
        with serving() as (_, connection):
            yield f"{connection.host}:{connection.port}"


@pytest.fixture
def undisturbed(address):
    with closing(HTTPConnection(address, timeout=20)) as connection:
        yield connection


@contextmanager
def serving():
    with run_script(WEB, "--port", free_port()) as web:
        (address,) = re.findall(r"serving http://([\w.:]+)", web.stderr.readline())
        with closing(HTTPConnection(address, timeout=20)) as connection:
            yield web, connection


def get(connection, path, **headers):
    connection.request("GET", path, headers=headers)
    response = connection.getresponse()
    return response.status, response.read()


def test_processes_and_threads_are_those_of_the_settings(config):
    assert issubclass(config.worker_class, ThreadWorker)
    assert config.workers == 3
    assert config.threads == 17


def test_opens_no_control_socket_and_logs_no_access(config):
    assert config.control_socket_disable
    assert config.accesslog is None


def test_requests_have_less_time_to_end_than_spigot_up_gives_the_web(config):
    assert config.graceful_timeout == GRACEFUL_SECONDS < WEB_STOP_SECONDS


def test_no_forwarding_header_is_believed(undisturbed):
    headers = {
        "X-Forwarded-For": "192.0.2.1",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Ssl": "on",
        "Script_Name": "/admin",
        "Path_Info": "/secret",
    }

    _, body = get(undisturbed, "/environ", **headers)

    assert json.loads(body) == {
        "REMOTE_ADDR": "127.0.0.1",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/environ",
        "wsgi.url_scheme": "http",
    }


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/" + "a" * 4100, {}),
        ("/", {"X-Large": "a" * 8200}),
        ("/", {f"X-{n}": "a" for n in range(70)}),
    ],
)
def test_a_request_beyond_the_limits_is_refused(path, headers, undisturbed):
    status, _ = get(undisturbed, path, **headers)

    assert 400 <= status < 500


def test_web_processes_die_with_a_killed_master():
    with serving() as (web, connection):
        get(connection, "/environ")
        processes = descendants(web.pid)
        assert processes
        web.kill()

        wait_for(lambda: not any(map(is_alive, processes)), seconds=2)


def test_a_dead_web_process_is_replaced():
    with serving() as (web, _):
        wait_for(lambda: len(descendants(web.pid)) == 2)
        (first, _) = descendants(web.pid)
        os.kill(first, signal.SIGKILL)

        wait_for(lambda: len(descendants(web.pid) - {first}) == 2)


def test_a_request_under_way_is_answered_before_a_stop():
    with serving() as (web, connection):
        connection.request("GET", "/slow", headers={"Connection": "close"})
        response = connection.getresponse()
        assert response.read(7) == b"begun, "
        web.terminate()

        assert response.read() == b"done"
        assert web.wait(20) == 0


def test_an_application_that_cannot_be_built_ends_the_command_with_its_reason(monkeypatch):
    monkeypatch.setenv("CREATE_APP_FAILS", "1")

    with run_script(WEB, "--port", free_port()) as web:
        assert web.stderr.read() == "the rules are broken\n"
        assert web.wait(20) == 1


def test_a_taken_port_is_told_at_once():
    with (
        listen("127.0.0.1", 0) as listener,
        run_script(WEB, "--port", listener.getsockname()[1]) as web,
    ):
        assert "ListenError: cannot listen on 127.0.0.1 port" in web.stderr.read()
        assert web.wait(20) == 1
