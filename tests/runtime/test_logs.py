"""The log of a running web and its worker: what an operator finds in it, and what nobody does."""

import json
import re
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.support.fleet import Fleet, Web
from tests.support.processes import wait_for, whole_lines
from tests.support.servers import own_server
from tests.support.warm_python import warm_python

SECRETS = ("s3cret-server", "s3cret-admin", "s3cret-key", "s3cret-query")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in whole_lines(path)]


def ask(web, method: str, path: str, body: Any = None, **headers: str) -> int:
    connection = HTTPConnection(web.host, web.port, timeout=30)
    try:
        text = None if body is None else json.dumps(body)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, text, {"Content-Type": "application/json", **headers})
        answer = connection.getresponse()
        answer.read()
        return answer.status
    finally:
        connection.close()


def find(path: Path, matches: Callable[[dict[str, Any]], Any]) -> dict[str, Any]:
    """Wait until there is one line that matches, and return it."""
    wait_for(lambda: any(map(matches, lines(path))), 60)
    (line,) = filter(matches, lines(path))
    return line


def echo(text: str) -> dict[str, Any]:
    return {"type": "echo", "payload": {"text": text}}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Fleet, Web]]:
    """A web and a worker for all tests; each of these asks under a request ID of its own."""
    with own_server() as server:
        fleet = Fleet(server.url, tmp_path_factory.mktemp("logs"))
        with fleet.web() as web, fleet.workers():
            yield fleet, web


@pytest.fixture
def web(running: tuple[Fleet, Web]) -> Web:
    return running[1]


@pytest.fixture
def web_log(running: tuple[Fleet, Web]) -> Path:
    return running[0].folder / "web.out"


@pytest.fixture
def worker_log(running: tuple[Fleet, Web]) -> Path:
    return running[0].folder / "worker.out"


def test_one_request_can_be_followed_through_web_and_worker(
    web: Web, web_log: Path, worker_log: Path
) -> None:
    ask(web, "POST", "/jobs", echo("x"), X_Request_ID="follow")
    asked = find(web_log, lambda line: line.get("request_id") == "follow")
    done = find(worker_log, lambda line: line.get("request_id") == "follow")

    assert asked["message"].startswith("POST /jobs 202 in ")
    assert done["message"] == f"job {asked['job_id']} (echo) finished"
    assert done["job_id"] == asked["job_id"]


def test_what_a_job_logs_names_its_request_and_itself(web: Web, worker_log: Path) -> None:
    ask(web, "POST", "/jobs", {"type": "say", "payload": {"text": "hello"}}, X_Request_ID="say")
    said = find(worker_log, lambda line: line["message"] == "hello")

    assert said["request_id"] == "say"
    assert re.fullmatch("[0-9a-f]{32}", said["job_id"])


def test_a_request_is_one_line_with_what_came_of_it(web: Web, web_log: Path) -> None:
    ask(web, "GET", "/jobs/none", X_Request_ID="none")
    line = find(web_log, lambda line: line.get("request_id") == "none")

    known = {name: line[name] for name in ("method", "path", "status", "client", "job_id")}
    assert known == {
        "method": "GET",
        "path": "/jobs/none",
        "status": 404,
        "client": "127.0.0.1",
        "job_id": "none",
    }
    assert line["seconds"] >= 0


def test_a_request_that_waits_is_one_line_and_named_too(web: Web, web_log: Path) -> None:
    _, job = web.ask("POST", "/jobs", {"type": "nap", "payload": {"seconds": 1}})
    connection = HTTPConnection(web.host, web.port, timeout=30)
    connection.request("GET", f"/jobs/{job['id']}?wait=0.2", headers={"X-Request-ID": "wait"})
    answer = connection.getresponse()
    answer.read()
    connection.close()
    line = find(web_log, lambda line: line.get("request_id") == "wait")

    assert (answer.status, answer.headers["X-Request-ID"]) == (200, "wait")
    assert (line["path"], line["job_id"]) == (f"/jobs/{job['id']}", job["id"])


def test_what_gunicorn_finds_wrong_is_a_line_of_the_same_form(web: Web, web_log: Path) -> None:
    with socket.create_connection((web.host, web.port), timeout=30) as connection:
        connection.sendall(b"NO / HTTP/one\x1b[31m\r\n\r\n")
        connection.recv(4096)
    found = find(web_log, lambda line: line["logger"] == "gunicorn.error")

    assert found["level"] == "warning"
    assert found["message"].startswith("Invalid request from ip=127.0.0.1")


def test_what_machines_ask_all_the_time_is_not_logged(web: Web, web_log: Path) -> None:
    unlogged = {"/livez", "/readyz", "/metrics"}
    for path in (*unlogged, "/buckets"):
        ask(web, "GET", path)
    find(web_log, lambda line: line.get("path") == "/buckets")

    assert not unlogged & {line.get("path") for line in lines(web_log)}


def test_a_worker_that_rqs_command_runs_logs_in_the_same_form(fleet: Fleet, redis: Redis) -> None:
    fleet.queue(redis).enqueue("echo", {})
    command = ["worker", "-w", "spigot.RateAwareWorker", "--burst", "-u", fleet.url, "default"]
    code = "from rq.cli import main; main()"
    result = warm_python().run(
        "-c", code, *command, environment=fleet.environment, folder=fleet.folder
    )

    told = [json.loads(line) for line in result.stderr.splitlines()]
    assert [line["message"] for line in told if line["message"].endswith("(echo) finished")]


@pytest.mark.slow
def test_no_secret_is_in_any_log(tmp_path: Path) -> None:
    with own_server() as server:
        with Redis.from_url(server.url) as redis:
            redis.config_set("requirepass", SECRETS[0])
        fleet = Fleet(server.url.replace("unix://", f"unix://:{SECRETS[0]}@"), tmp_path)
        fleet.settings |= {"SPIGOT_ADMIN_PASSWORD": SECRETS[1]}
        rule = {"limit": 3, "window": 60, "key": "header:X-API-Key"}
        (tmp_path / "rate_limits.json").write_text(json.dumps({"default": rule}))
        with fleet.web() as web, fleet.workers():
            for _ in range(5):
                ask(web, "POST", "/jobs?token=s3cret-query", echo("x"), X_API_Key=SECRETS[2])
            ask(web, "GET", "/rq/", Authorization="Basic YWRtaW46czNjcmV0LWFkbWlu")
            fleet.wait_for_lines(3)
            server.kill()
            ask(web, "POST", "/jobs", echo("x"), X_API_Key="other")
            worker_log = tmp_path / "worker.out"
            wait_for(lambda: "server is away" in worker_log.read_text())

    text = (tmp_path / "web.out").read_text() + worker_log.read_text()
    assert "429 in" in text
    assert not [secret for secret in (*SECRETS, "YWRtaW46") if secret in text]
