"""What docs/jobs.md shows works as it stands there."""

import os
import re
import shlex
import sys
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from spigot import RateLimited, create_app, raise_for_rate_limit
from spigot.jobs.program import program_at
from spigot.jobs.store import keys
from spigot.jobs.types.retry_after import wait_in
from spigot.runtime.settings import load_settings
from tests.support.command_line import run_spigot
from tests.support.page_sessions import check_printed, run_steps, steps_of
from tests.support.served import served
from tests.support.spigot_up import spigot_up
from tests.support.warm_python import warm_python

DOCS = (Path(__file__).parents[2] / "docs" / "jobs.md").read_text()
APP, PROGRAM, RESEARCH, SDK = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)
COMMANDS = re.findall(r"```\n(curl.*?)```", DOCS, re.DOTALL)[0].replace("\\\n", "")


@pytest.fixture(autouse=True)
def reports(redis, redis_url, tmp_path, monkeypatch):
    """The application of the page, in the folder where Spigot is started."""
    (tmp_path / "reports.py").write_text(APP)
    (tmp_path / "buckets.json").write_text("{}")
    (tmp_path / "rate_limits.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.setenv("SPIGOT_APPS", "reports")
    program_at.cache_clear()
    yield
    program_at.cache_clear()
    sys.modules.pop("reports", None)


@pytest.fixture
def client():
    return create_app(load_settings()).test_client()


def test_the_curl_is_answered_with_202(client):
    words = shlex.split(COMMANDS.splitlines()[0])

    response = client.post(
        words[words.index("http://127.0.0.1:8000/jobs")].removeprefix("http://127.0.0.1:8000"),
        data=words[words.index("-d") + 1],
        headers=[words[words.index("-H") + 1].split(": ")],
    )

    assert (response.status_code, response.json["bucket"]) == (202, "mail")


def test_the_command_enqueues(redis):
    program, *arguments = shlex.split(COMMANDS.splitlines()[-1])

    result = run_spigot(*arguments)

    assert (program, result.exit_code, result.stderr) == ("spigot", 0, "")
    assert redis.llen(keys.queue("mail-high")) == 1


def test_the_program_enqueues_and_waits(redis, capsys):
    worker = ["-m", "spigot", "worker", "mail", "--simple", "--count", "1"]
    with open(os.devnull, "w") as nothing, warm_python().start(*worker, errors=nothing) as process:
        exec(compile(PROGRAM, "docs/jobs.md", "exec"), {})
        process.terminate()

    enqueued, ended = capsys.readouterr().out.splitlines()
    assert enqueued.endswith(" 1 0.0")
    assert ended.startswith("finished ")


def test_the_blueprint_takes_reports_in(client):
    response = client.post("/reports", json={"customer": "Ada"})

    assert (response.status_code, response.json["priority"]) == (202, "low")
    assert client.post("/reports", json={}).json["errors"][0]["field"] == "customer"


def test_a_bomb_of_200_levels_is_the_last_that_is_json(client):
    def nested(levels):
        return client.post(
            "/jobs", data="[" * levels + "]" * levels, content_type="application/json"
        )

    assert [answer["status"] for answer in nested(200).json] == [422]
    assert nested(202).status_code == 400


@contextmanager
def downstream(status, headers, body=b"{}"):
    """Run an AI service that always gives this answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            """Be silent."""

    with served(HTTPServer(("127.0.0.1", 0), Handler)) as address:
        yield f"http://{address}"


@pytest.fixture
def summarise(monkeypatch):
    """The function of the page, with a downstream of the test's choice."""

    def call(url):
        monkeypatch.setenv("AI_URL", url)
        page: dict = {"__name__": "research"}
        exec(compile(RESEARCH, "docs/jobs.md", "exec"), page)
        return page["summarise"]("doc_1")

    return call


def test_the_job_type_returns_what_the_downstream_says(summarise):
    with downstream(200, {}, b'{"summary": "short"}') as url:
        assert summarise(url) == "short"


@pytest.mark.parametrize("status", [429, 503])
def test_the_job_type_holds_its_bucket(summarise, status):
    with downstream(status, {"Retry-After": "12"}) as url, pytest.raises(RateLimited) as raised:
        summarise(url)

    assert raised.value.retry_after == 12


def test_the_job_type_fails_for_other_refusals(summarise):
    with downstream(500, {}) as url, pytest.raises(httpx.HTTPStatusError):
        summarise(url)


@pytest.mark.parametrize("header", re.findall(r"`([\w-]+: [^`]+)`, `20ms`", DOCS))
def test_the_headers_are_read(header):
    assert wait_in(dict([header.split(": ")])).seconds == 360


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_the_sessions_print_what_the_page_says(tmp_path):
    slower = RESEARCH.replace("sleep(0.2)", "sleep(0.5)")  # to be seen while it runs
    assert slower != RESEARCH
    (tmp_path / "research.py").write_text(slower)
    with spigot_up(tmp_path, SPIGOT_APPS="research") as stack:
        steps = steps_of(DOCS.replace("127.0.0.1:8000", stack.url.removeprefix("http://")))
        printed = run_steps(steps, cwd=tmp_path, env=stack.environment, seconds=200)

    check_printed(steps, printed)


def test_a_refusal_that_an_sdk_raises_is_read():
    class APIError(Exception):
        status_code, body = 429, {"message": "Please try again in 644ms."}

    class Responses:
        def create(self, **asked: str) -> None:
            raise APIError

    known = {
        "openai": SimpleNamespace(APIError=APIError),
        "client": SimpleNamespace(responses=Responses()),
        "raise_for_rate_limit": raise_for_rate_limit,
        "text": "",
    }
    with pytest.raises(RateLimited) as raised:
        exec(SDK, known)

    assert raised.value.retry_after == 0.644
    APIError.status_code = 401
    APIError.body = {}
    with pytest.raises(APIError):
        exec(SDK, known)
