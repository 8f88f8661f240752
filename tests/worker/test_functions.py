"""What becomes of a job whose function returns or raises something, with real workers."""

import base64
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from spigot import create_app
from spigot.jobs.commands.job_commands import show
from spigot.jobs.job.details import JobDetailsReader
from spigot.jobs.job.state import JobReader
from spigot.runtime.settings import Settings, load_settings
from tests.support.consistency import wait_for_lines
from tests.support.processes import wait_for

SPILT = {"user": "ada", "password": "hunter2", "pin": "431743"}


def run(redis, job_queue, start_worker, type_name: str, payload: dict) -> str:
    """Run one job to its end and return its id."""
    job = job_queue.enqueue(type_name, payload)
    start_worker()
    wait_for(lambda: JobReader(redis).read(job.id).ended)
    return job.id


def test_a_date_is_returned_as_pydantic_writes_it(redis, job_queue, start_worker, tmp_path):
    payload = {"folder": str(tmp_path), "writable": True}
    job_id = run(redis, job_queue, start_worker, "today", payload)

    assert JobReader(redis).read(job_id).result == {"day": "2026-01-02"}


def test_what_cannot_be_written_fails_at_once(redis, job_queue, start_worker, tmp_path):
    payload = {"folder": str(tmp_path), "writable": False}
    job_id = run(redis, job_queue, start_worker, "today", payload)

    job = JobReader(redis).read(job_id)
    assert (job.status, job.attempts, job.result) == ("failed", 1, None)
    assert job.error == "UnwritableResult: result.day: a object cannot be written as JSON"
    assert [path.name for path in tmp_path.glob("*.started")] == ["1.started"]
    (line,) = wait_for_lines(tmp_path / "results.jsonl", 1)
    assert line["status"] == "failed"


def test_a_failure_leaves_its_traceback_and_no_secret(redis, job_queue, start_worker, tmp_path):
    job_id = run(redis, job_queue, start_worker, "spill", SPILT)
    wait_for_lines(tmp_path / "results.jsonl", 1)

    details = JobDetailsReader(redis).read(job_id)
    assert details.payload == {"user": "ada", "password": "**********", "pin": "**********"}
    assert details.traceback.startswith("Traceback (most recent call last):\n  File ")
    first_frame = details.traceback.splitlines()[1]
    assert "worker_jobs.py" in first_frame
    assert first_frame.endswith("in spill")
    assert details.traceback.endswith("ValueError: ada ********** **********\n")
    assert details.worker

    log = (tmp_path / "worker-0.log").read_text()
    assert "ValueError: ada ********** **********" in log
    assert "worker_jobs.py" in log
    for place in (log, str(JobReader(redis).read(job_id)), read_all(tmp_path)):
        assert "hunter2" not in place
        assert "431743" not in place


def read_all(folder: Path) -> str:
    return "".join(path.read_text() for path in folder.glob("results*.jsonl"))


def test_only_the_admin_is_told_payload_and_traceback(
    redis, job_queue, start_worker, settings_of_web
):
    job_id = run(redis, job_queue, start_worker, "spill", SPILT)
    app = create_app(settings_of_web)
    client = app.test_client()

    stranger = client.get(f"/jobs/{job_id}").json
    admin = client.get(f"/jobs/{job_id}", auth=("admin", "secret")).json
    waited = client.get(f"/jobs/{job_id}?wait=1", auth=("admin", "secret")).json
    wrong = client.get(f"/jobs/{job_id}", auth=("admin", "wrong")).json
    app.extensions["connection_loop"].close()

    assert not {"payload", "traceback", "worker"} & stranger.keys()
    assert wrong == stranger
    assert waited == admin
    assert admin == stranger | JobDetailsReader(redis).read(job_id).to_json()
    assert admin["payload"]["user"] == "ada"
    assert "hunter2" not in str(admin)


@pytest.fixture
def settings_of_web(redis_url, tmp_path) -> Settings:
    rules, buckets = tmp_path / "rate_limits.json", tmp_path / "buckets.json"
    rules.write_text("{}")
    buckets.write_text("{}")
    return load_settings(
        redis_url=redis_url,
        apps=("tests.support.outcome_app",),
        rate_limits=rules,
        buckets=buckets,
        admin_password="secret",
    )


def test_the_command_shows_payload_and_traceback(
    redis, redis_url, job_queue, start_worker, monkeypatch
):
    job_id = run(redis, job_queue, start_worker, "spill", SPILT)
    monkeypatch.setenv("REDIS_URL", redis_url)

    told = CliRunner().invoke(show, [job_id])
    in_json = json.loads(CliRunner().invoke(show, [job_id, "--json"]).output)

    assert "Traceback (most recent call last):\n  File " in told.output
    assert "worker_jobs.py" in told.output
    assert "ValueError: ada ********** **********" in told.output
    assert '"password": "**********"' in told.output
    assert in_json["payload"]["user"] == "ada"
    assert "hunter2" not in told.output + str(in_json)


@pytest.mark.parametrize("text", ["NaN", "[" * 900 + "]" * 900, '"\\ud800"', "[1", '{"a": 1}'])
def test_no_result_breaks_the_answer(redis, rq_queue, text):
    job = rq_queue.enqueue("tests.support.worker_jobs.double", 1)
    redis.hset(job.key, "status", "finished")
    kept = base64.b64encode(text.encode())
    redis.xadd(f"rq:results:{job.id}", {"type": "1", "return_value": kept})

    told = JobReader(redis).read(job.id).to_json()

    assert told["result"] == ({"a": 1} if text.startswith("{") else None)
    json.dumps(told, allow_nan=False)


@pytest.mark.parametrize("data", [b"", b"x", None])
def test_details_of_what_is_no_job_are_empty(redis, data):
    if data is not None:
        redis.hset("rq:job:odd", mapping={"data": data, "spigot_hidden": "x"})
        redis.xadd("rq:results:odd", {"type": "2", "exc_string": "no base64"})

    assert set(JobDetailsReader(redis).read("odd").to_json().values()) == {None}


def test_details_of_a_plain_job_are_its_arguments(redis, rq_queue):
    named = rq_queue.enqueue("tests.support.worker_jobs.double", kwargs={"number": 1})
    both = rq_queue.enqueue("tests.support.worker_jobs.double", 1, 2, key=json.loads("3"))

    reader = JobDetailsReader(redis)
    assert reader.read(named.id).payload == {"number": 1}
    assert reader.read(both.id).payload == {"args": [1, 2], "kwargs": {"key": 3}}
