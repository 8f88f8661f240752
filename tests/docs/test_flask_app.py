"""The application of docs/flask-app.md, put into a folder and started as the page says."""

import configparser
import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from spigot.runtime.listening_socket import free_port
from tests.support.page_files import write_files
from tests.support.processes import wait_for
from tests.support.warm_python import warm_python

PAGE = (Path(__file__).parents[2] / "docs" / "flask-app.md").read_text()
SERVERS = re.findall(r"^(?:flask|gunicorn) .*", PAGE, re.MULTILINE)
WORKER = "spigot worker"
IN_MEMORY = """
import pytest

from shop import create_app
from spigot.testing import inline
from staff import app as staff_app


@pytest.fixture
def client():
    with inline() as queue:
        client = create_app().test_client()
        client.queue = queue
        yield client


def test_a_view_enqueues(client):
    answer = client.post("/orders/7/receipt")

    assert answer.status_code == 202
    assert client.queue.state(answer.json["job"]).result == "sent the receipt of order 7"


def test_a_view_has_a_limit_of_its_own(client):
    codes = [client.post(f"/orders/{n}/receipt").status_code for n in range(6)]

    assert codes == [202] * 5 + [429]
    assert client.get("/search").status_code == 200


def test_staff_has_the_pages_of_spigot(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "unix:///nobody.sock")
    from pages import app

    @app.get("/login")
    def login():
        from flask import session
        session["staff"] = True
        return ""

    client = app.test_client()
    assert client.get("/admin").status_code == 403
    client.get("/login")
    assert client.get("/admin").status_code == 303


def test_staff_is_not_limited():
    @staff_app.get("/login")
    def login():
        from flask import session
        session["staff"] = True
        return ""

    client = staff_app.test_client()
    assert "RateLimit" in client.get("/login").headers
    assert "RateLimit" not in client.get("/login").headers


def test_a_full_bucket_says_when_to_come_back(client, monkeypatch):
    from shop import say_when_to_come_back
    from spigot import BucketFull

    _, status, headers = say_when_to_come_back(BucketFull("full", "mail", 1.2))
    assert (status, headers) == (503, {"Retry-After": "2"})
"""


@pytest.fixture
def folder(tmp_path, redis_url):
    """The files of the page in a folder, on the server of this test run."""
    names = write_files(PAGE, tmp_path)
    assert len(names) == 10
    env = tmp_path / ".env"
    env.write_text(env.read_text().replace("redis://127.0.0.1:6379/0", redis_url))
    return tmp_path


def environment(folder):
    return {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)}


@pytest.mark.slow
def test_what_the_page_shows_works_in_memory(folder):
    (folder / "test_shop.py").write_text(IN_MEMORY)

    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis"]
    done = warm_python().run(*command, folder=folder, environment=environment(folder))

    assert "5 passed" in done.stdout, done.stdout


@contextmanager
def started(line, folder):
    """Run a line of the page until the block ends."""
    with (folder / "log").open("a") as log:
        process = subprocess.Popen(
            shlex.split(line), cwd=folder, env=environment(folder), stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
@pytest.mark.parametrize("line", SERVERS, ids=lambda line: line.split()[0])
def test_the_app_and_its_workers_run_as_the_page_starts_them(folder, redis, line):
    assert f"\n{WORKER}\n" in PAGE
    port = free_port()
    with started(line.replace("5000", str(port)), folder), started(WORKER, folder):
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: answers(url), 30)
        job_id = httpx.post(f"{url}/orders/7/receipt").json()["job"]
        wait_for(lambda: redis.hget(f"rq:job:{job_id}", "status") == b"finished", 30)


def answers(url):
    try:
        return httpx.get(f"{url}/search").status_code == 200
    except httpx.TransportError:
        return False


def test_the_page_shows_two_ways_to_serve_the_app():
    assert len(SERVERS) == 2


def test_the_file_for_uwsgi_fits_the_app(folder, monkeypatch):
    parser = configparser.ConfigParser()
    parser.read_string((folder / "uwsgi.ini").read_text())
    ini = parser["uwsgi"]
    assert {ini[name] for name in ("enable-threads", "lazy-apps", "die-on-term")} == {"true"}
    code = "import {0}; from flask import Flask; assert isinstance({0}.{1}, Flask)"
    code = code.format(*ini["module"].split(":"))

    done = warm_python().run("-c", code, folder=folder, environment=environment(folder))

    assert done.returncode == 0, done.stderr
