"""Everything works for a user with the rights of docs/security.md and no other."""

import json
import re
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from redis import Redis
from rq import Queue
from rq.command import send_stop_job_command

from spigot.__main__ import cli
from spigot.jobs.program import program_at
from spigot.jobs.store.server_rights import DOOR_COMMANDS, command_name, probe_commands
from spigot.runtime.server.redis_connection import connect
from tests.support.fleet import Fleet
from tests.support.processes import wait_for, whole_lines
from tests.support.servers import oldest_server, own_server

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
COMMANDS = {command_name(command) for command in probe_commands("x")}
ADMIN = "YWRtaW46c2VjcmV0"  # admin:secret
DISPENSABLE = {"client|setinfo", "client", "info"}
"""What redis-py and doctor ask for and do well without."""


def rights_on_page(heading: str) -> list[str]:
    """Return what the page has users given under a heading."""
    block = PAGE.split(f"## {heading}\n", 1)[1].split("```")[1]
    return re.sub(r"\\\n", " ", block).split("'>PASSWORD' ")[1].replace("'", "").split()


RIGHTS = rights_on_page("The least rights on the server")


@pytest.fixture
def server(request, tmp_path):
    program = oldest_server(tmp_path) if getattr(request, "param", "") == "oldest" else None
    with own_server(program=program) as server:
        yield server


@pytest.fixture
def admin(server):
    with Redis.from_url(server.url) as admin:
        rights = RIGHTS
        if admin.info("server")["redis_version"].startswith("6."):  # no rights to subcommands
            rights = [re.sub(r"\|.*", "", right) for right in RIGHTS]
        admin.execute_command("ACL", "SETUSER", "spigot", "reset", "on", ">pw", *rights)
        yield admin


@pytest.fixture
def fleet(server, admin, tmp_path):
    fleet = Fleet(
        f"{server.url}?username=spigot&password=pw",
        tmp_path,
        rate="50/s",
        settings={
            "SPIGOT_ADMIN_PASSWORD": "secret",
            "SPIGOT_LEASE_SECONDS": "1",
            "SPIGOT_KEEP_SECONDS": "30",
        },
    )
    (tmp_path / "rate_limits.json").write_text(
        json.dumps({
            "default": {"capacity": 10000, "refill_rate": 1000},
            "looks": {"limit": 60, "window": 60, "match": "GET /buckets"},
        })
    )  # fmt: skip
    return fleet


def test_the_page_has_the_rights_that_the_probe_asks_for():
    keys, channels = ["~rq:*", "~spigot:1:*"], ["&rq:pubsub:*", "&spigot:1:job_events"]

    assert set(RIGHTS) == {"-@all", "resetchannels", *keys, *channels, *(f"+{c}" for c in COMMANDS)}
    assert set(rights_on_page("A server of the door's own")) == {
        "-@all", "resetchannels", "~spigot:1:*", *(f"+{name}" for name in DOOR_COMMANDS),
    }  # fmt: skip


def test_every_command_of_a_script_is_asked_for():
    scripts = [
        path for part in ("jobs", "worker", "webapp") for path in (ROOT / part).rglob("*.lua")
    ]
    called = {
        name.lower()
        for path in scripts
        for name in re.findall(r"(?:call|try|lenient)\(\s*\"([A-Z]+)\"", path.read_text())
    }

    assert called
    assert called <= COMMANDS


@pytest.mark.slow
@pytest.mark.timeout(400)  # sixty seconds on a machine that has nothing else to do
@pytest.mark.parametrize("server", ["bundled", "oldest"], indirect=True)
def test_everything_works_with_the_least_rights(server, admin, fleet):
    admin.execute_command("ACL", "LOG", "RESET")

    with web_and_workers(fleet) as web:
        work_through_the_api(fleet, web)
        work_through_commands(fleet)
        work_through_rq(fleet, web)
        kill_a_worker(fleet, web)

    refused = {entry["object"] for entry in admin.acl_log()}
    assert refused <= DISPENSABLE, "the page lacks a right"
    for output in ("worker.out", "web.out"):  # jobs that fail have tracebacks of their own there
        assert "redis.exceptions" not in (fleet.folder / output).read_text()


@contextmanager
def web_and_workers(fleet):
    with fleet.workers(2), fleet.web() as web:
        yield web


def ask(web, method, path, body=None):
    """Return the status of a request by the admin."""
    from http.client import HTTPConnection

    connection = HTTPConnection(web.host, web.port, timeout=30)
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {ADMIN}"}
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    assert answer.status < 500, (method, path, answer.status)
    return answer.status


def post(web, type_name, **payload):
    status, job = web.ask("POST", "/jobs", {"type": type_name, "payload": payload})
    assert status == 202, job
    return job["id"]


def work_through_the_api(fleet, web):
    echo = post(web, "echo", text="a")
    assert web.ask("GET", f"/jobs/{echo}?wait=10")[1]["status"] == "finished"
    fall = post(web, "fall", name="twice", times=2)
    refused = post(web, "refused", name="refused", times=1, seconds=0.3)
    count = post(web, "count", reports=3, seconds=0.6)
    for job_id in (fall, refused, count):
        assert web.ask("GET", f"/jobs/{job_id}?wait=20")[1]["status"] == "finished"
    lost = post(web, "fall", name="lost", times=9)
    nap = post(web, "nap", seconds=60)
    wait_for(lambda: web.ask("GET", f"/jobs/{nap}")[1]["status"] == "started")
    stream = web.open(f"/jobs/{nap}/events")
    assert ask(web, "DELETE", f"/jobs/{nap}") in (200, 202)
    stream.close()
    wait_for(lambda: web.ask("GET", f"/jobs/{lost}")[1]["status"] == "failed")
    for path in (
        "/", "/api/status", "/api/activity", "/readyz", "/metrics", "/buckets", "/buckets/default",
        "/rq/", "/rq/0/data/queues.json", "/rq/0/data/workers.json",
        "/rq/0/data/jobs/default/queued/8/asc/1.json",
        "/rq/0/data/jobs/default/failed/8/asc/1.json", f"/rq/0/data/job/{lost}.json",
    ):  # fmt: skip
        assert ask(web, "GET", path) == 200, path
    assert ask(web, "POST", f"/rq/job/{lost}/requeue") == 200
    for _ in range(70):
        web.ask("GET", "/buckets")  # until the door refuses


def work_through_commands(fleet):
    def spigot(*command):
        program_at.cache_clear()  # it would keep the settings of another test
        result = CliRunner().invoke(cli, command, env=fleet.environment)
        program_at.cache_clear()
        assert result.exit_code == 0, (command, result.output, result.exception)
        return result.stdout

    for command in (
        "bucket list", "bucket show default", "bucket pause default", "job list",
        "job list --status failed", "limits list", "limits ban 10.0.0.1 --for 1m",
        "limits show 10.0.0.1", "limits unban 10.0.0.1", "limits reset 10.0.0.1",
        "limits show 127.0.0.1", "limits reset 127.0.0.1", "limits top",
    ):  # fmt: skip
        spigot(*command.split())
    wait_for(lambda: "127.0.0.1" in spigot("limits", "top"))
    for command in ("job submit echo", "job submit echo --priority low"):
        spigot(*command.split(), '{"text": "b"}')
    for command in (
        "bucket purge default --yes", "bucket capacity default 50", "bucket rate default 60/s",
        "bucket resume default", "bucket reset default", "job requeue --all-failed",
    ):  # fmt: skip
        spigot(*command.split())
    spigot("bucket", "drain", "default")
    spigot("bucket", "resume", "default")
    assert "does not tell this user its version" in fleet.spigot("doctor").stdout


def work_through_rq(fleet, web):
    with connect(fleet.url, timeout=5) as redis:
        queue = Queue("default", connection=redis, serializer="json")
        wait_for(lambda: len(fleet.log()) > 5)
        parent = queue.enqueue("tests.support.outcome_app.echo", "rq", result_ttl=60)
        child = queue.enqueue(
            "tests.support.outcome_app.echo", "child", depends_on=parent, result_ttl=60
        )
        wait_for(lambda: child.get_status() == "finished")
        nap = queue.enqueue("tests.support.outcome_app.nap", 60, "stopped")
        wait_for((fleet.folder / "stopped.note").exists)
        assert nap.get_status() == "started"
        send_stop_job_command(redis, nap.id)
        wait_for(lambda: nap.get_status() in ("stopped", "canceled"))


def kill_a_worker(fleet, web):
    nap = post(web, "nap", seconds=2, name="killed")
    note = fleet.folder / "killed.note"
    wait_for(lambda: whole_lines(note))
    horse = int(whole_lines(note)[0].split()[1])
    worker = int(Path(f"/proc/{horse}/stat").read_text().rpartition(")")[2].split()[1])
    subprocess.run(["kill", f"-{signal.SIGKILL}", str(worker), str(horse)], check=True)
    wait_for(lambda: web.ask("GET", f"/jobs/{nap}")[1]["status"] == "finished", 60)


@pytest.mark.parametrize("command", [("worker",), ("web", "--port", "0"), ("up", "--port", "0")])
@pytest.mark.parametrize("lacks", ["channels", "xadd"])
def test_a_user_that_lacks_rights_is_told_so_at_the_start(server, admin, fleet, command, lacks):
    rules = ["resetchannels"] if lacks == "channels" else ["-xadd"]
    admin.execute_command("ACL", "SETUSER", "spigot", *rules)

    ended = fleet.spigot(*command)

    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("Error: the server unix://")
    wanted = "&spigot:1:job_events &rq:pubsub:*" if lacks == "channels" else "+xadd"
    assert f"does not give its user the rights {wanted};" in line
    doctor = CliRunner().invoke(cli, ["doctor"], env=fleet.environment)
    assert f"rights {wanted}" in doctor.stdout


@pytest.mark.slow
def test_a_right_that_is_taken_away_later_is_one_line_and_not_a_traceback(server, admin, fleet):
    with fleet.workers(), fleet.web() as web:
        post(web, "echo", text="a")
        fleet.wait_for_lines(1)
        admin.execute_command("ACL", "SETUSER", "spigot", "-hgetall", "-hmget")
        wait_for(lambda: web.ask("GET", "/jobs/abc")[0] == 503)
        wait_for(
            lambda: (
                b"lets this user not run the command" in (fleet.folder / "worker.out").read_bytes()
            )
        )
        admin.execute_command("ACL", "SETUSER", "spigot", "+hgetall", "+hmget")
        status, job = web.ask("POST", "/jobs", {"type": "echo", "payload": {"text": "b"}})
        assert status == 202
        wait_for(lambda: web.ask("GET", f"/jobs/{job['id']}")[1]["status"] == "finished", 30)

    for output in ("web.out", "worker.out"):
        assert b"Traceback" not in (fleet.folder / output).read_bytes()
