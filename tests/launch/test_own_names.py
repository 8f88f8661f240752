"""A project whose modules have the names of Spigot's own folders, started in each way."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from redis import Redis

from spigot.runtime.listening_socket import free_port
from tests.support.processes import wait_for, whole_lines
from tests.support.spigot_up import spigot_up
from tests.support.visitors import Visitor

BIN = Path(sys.executable).parent
SPIGOT = [BIN / "spigot"]
PYTHON_M = [sys.executable, "-m", "spigot"]
TYPES = {"hello": "jobs", "task": "worker.tasks", "sample": "examples.first"}
FILES = {
    "rate_limits.json": '{"hello": {"limit": 2, "window": 60}}',
    "buckets.json": '{"default": {"rate": "100/s", "workers": 1}}',
    "jobs.py": """
from spigot import job_type


@job_type("hello", log=["name"])
def hello(name: str) -> str:
    return f"hello {name} from {__name__}"
""",
    "worker/__init__.py": "",
    "worker/tasks.py": """
from jobs import hello
from spigot import job_type


@job_type("task")
def task(name: str) -> str:
    return hello(name).replace("jobs", __name__)
""",
    "examples/__init__.py": "",
    "examples/first.py": """
from spigot import job_type
from worker.tasks import task


@job_type("sample")
def sample(name: str) -> str:
    return task(name).replace("worker.tasks", __name__)
""",
    "webapp/__init__.py": """
import os

from flask import Flask

from spigot import Door, enqueue, rate_limit


def create_app() -> Flask:
    app = Flask(__name__)
    Door(app, rules="rate_limits.json", redis_url=os.environ["REDIS_URL"], deadline=5)

    @app.post("/hello")
    @rate_limit("hello")
    def hello() -> dict:
        return {"id": enqueue("hello", {"name": "view"}).id}

    return app
""",
    "test_shop.py": """
from examples.first import sample
from jobs import hello
from webapp import create_app


def test_functions():
    assert hello("you") == "hello you from jobs"
    assert sample("you") == "hello you from examples.first"


def test_view():
    client = create_app().test_client()
    assert [client.post("/hello").status_code for _ in range(3)] == [200, 200, 429]
""",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture
def environment(redis: Redis, redis_url: str, project: Path) -> dict[str, str]:
    return {
        "PATH": f"{BIN}:/usr/bin:/bin",
        "HOME": str(project),
        "REDIS_URL": redis_url,
        "SPIGOT_APPS": "jobs,worker,webapp,examples",
    }


@pytest.fixture
def run(project, environment):
    """Return a function that runs a command in the project and returns what it printed."""

    def run_command(*command: object, statuses: tuple[int, ...] = (0,)) -> str:
        result = subprocess.run(
            command, cwd=project, env=environment, capture_output=True, text=True, timeout=100
        )
        assert result.returncode in statuses, result.stdout + result.stderr
        return result.stdout + result.stderr

    return run_command


@pytest.fixture
def results(project):
    """Return a function that reads the texts of the result log."""
    return lambda: "\n".join(whole_lines(project / "data" / "results.jsonl"))


@contextmanager
def running(command: list[object], project: Path, environment: dict[str, str]) -> Iterator[None]:
    with (
        (project / "server.log").open("w") as log,
        subprocess.Popen(command, cwd=project, env=environment, stdout=log, stderr=log) as server,
    ):
        try:
            yield
        finally:
            server.terminate()


def serves(url: str) -> bool:
    try:
        return Visitor(url).get("/").status == 404
    except OSError:
        return False


def submit_all(run, command) -> None:
    for name in TYPES:
        run(*command, "job", "submit", name, '{"name": "you"}')


def assert_all_ran(results) -> None:
    for module in TYPES.values():
        assert f"hello you from {module}" in results()


@pytest.mark.slow
@pytest.mark.parametrize("command", [SPIGOT, PYTHON_M], ids=["spigot", "python -m spigot"])
def test_commands_and_workers_find_all_modules(run, results, command):
    submit_all(run, command)
    run(*command, "worker", "--until-empty")

    assert_all_ran(results)
    assert "ok     job types: hello, task, sample\n" in run(*command, "doctor", statuses=(0, 1))


@pytest.mark.slow
def test_workers_of_rq_find_them(run, results):
    submit_all(run, SPIGOT)
    run(BIN / "rq", "worker", "-w", "spigot.RateAwareWorker", "--burst", "default")

    assert_all_ran(results)


@pytest.mark.slow
def test_all_processes_of_up_find_them(project, environment, results):
    files = {"SPIGOT_RATE_LIMITS": "rate_limits.json", "SPIGOT_BUCKETS": "buckets.json"}
    with spigot_up(project, **environment, **files) as stack:
        for name in TYPES:
            job = {"type": name, "payload": {"name": "you"}}
            assert Visitor(stack.url).post("/jobs", job).status == 202
        wait_for(lambda: results().count("finished") == len(TYPES), 30)

    assert_all_ran(results)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["flask", "gunicorn"])
def test_the_app_is_served_by(server, project, environment, run, results):
    port = str(free_port())
    command = {
        "flask": [BIN / "flask", "--app", "webapp", "run", "--port", port],
        "gunicorn": [BIN / "gunicorn", "webapp:create_app()", "--bind", f"127.0.0.1:{port}"],
    }[server]
    url = f"http://127.0.0.1:{port}"

    with running(command, project, environment):
        wait_for(lambda: serves(url), 60)
        statuses = [Visitor(url).post("/hello", {}).status for _ in range(3)]

    assert statuses == [200, 200, 429], (project / "server.log").read_text()
    run(*SPIGOT, "worker", "--until-empty")
    assert results().count("hello view from jobs") == 2


@pytest.mark.slow
def test_its_tests_pass(run):
    assert "2 passed" in run(BIN / "pytest", "-q", "-p", "no:cacheprovider")
