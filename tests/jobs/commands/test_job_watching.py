import json
import os
import pty
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from spigot.jobs.commands.job_watching import details, summary
from tests.support.command_line import run_spigot
from tests.support.event_streams import JOB
from tests.support.warm_python import warm_python

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def program(program_environment):
    """These commands run as they would beside the sample application."""


@pytest.fixture
def story(bucket):
    """A job that is retried once and then finishes, while somebody watches."""
    bucket.enqueue("a", "retried")

    def live():
        time.sleep(0.4)
        bucket.retry(bucket.claim(), delay=0.5, error="KeyError: 'x'")
        time.sleep(0.4)
        bucket.sleep(1)
        bucket.finish(bucket.claim(), '"done"')

    thread = threading.Thread(target=live)
    thread.start()
    yield
    thread.join()


def watch(*arguments):
    return run_spigot("job", "watch", *arguments)


def test_prints_a_line_for_each_change(story):
    result = watch("a")

    # it runs so shortly that it may not be seen
    lines = [line for line in result.stdout.splitlines() if not line.startswith("started")]
    assert [line.split()[0] for line in lines] == ["queued", "delayed", "finished"]
    assert lines[0].startswith("queued    position 1, starts in ")
    assert lines[1].endswith("KeyError: 'x'")
    assert lines[2] == 'finished  "done"'
    assert (result.exit_code, result.stderr) == (0, "")


def test_prints_a_document_for_each_change(story):
    jobs = [json.loads(line) for line in watch("a", "--json").stdout.splitlines()]

    statuses = [job["status"] for job in jobs if job["status"] != "started"]
    assert statuses == ["queued", "delayed", "finished"]
    assert jobs[-1]["result"] == "done"


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_the_exit_status_says_whether_the_job_finished(bucket, end):
    bucket.enqueue("a")
    if end == "failed":
        bucket.fail(bucket.claim(), error="KeyError: 'x'")
    else:
        bucket.cancel("a")

    result = watch("a")

    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: the job {end}: ")
    assert result.stderr.count("\n") == 1


def test_there_is_no_such_job():
    result = watch("nobody")

    assert (result.exit_code, result.stdout) == (1, "")
    assert "there is no job 'nobody'" in result.stderr


def test_a_server_that_is_away_is_told_in_one_line(monkeypatch):
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")

    result = watch("a")

    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "does not answer" in result.stderr


def test_on_a_terminal_it_is_one_line(bucket):
    bucket.enqueue("a")
    terminal, end = pty.openpty()
    with open(end, "w") as output:
        process = warm_python().start("-m", "spigot", "job", "watch", "a", output=output)
    with process:
        shown = os.read(terminal, 4096)
        bucket.finish(bucket.claim(), '"done"')
        assert process.wait(30) == 0
        while b"finished" not in shown:
            shown += os.read(terminal, 4096)
    os.close(terminal)

    assert shown.startswith(b"\r\x1b[Kqueued    position 1")
    assert b'\r\x1b[Kfinished  "done"' in shown


@pytest.mark.parametrize(
    ("job", "line"),
    [
        (
            replace(JOB, position=3, estimated_start_at="2026-01-01T00:00:02.4Z"),
            "queued    position 3, starts in 2.4 s",
        ),
        (
            replace(JOB, position=3, estimated_start_at="2025-12-31T00:00:00Z"),
            "queued    position 3, starts in 0.0 s",
        ),
        (replace(JOB, position=3), "queued    position 3"),  # paused
        (
            replace(JOB, status="delayed", position=None, error="E: x",
                    estimated_start_at="2026-01-01T00:01:00Z"),
            "delayed   starts in 60.0 s, E: x",
        ),
        (replace(JOB, status="started", attempts=2), "started   attempt 2"),
        (
            replace(JOB, status="started", progress={"done": 3, "total": 10, "note": "parsing"}),
            "started   [######..............]  30% 3/10 parsing",
        ),
        (
            replace(JOB, status="started", progress={"done": 30, "total": 10, "note": ""}),
            "started   [####################] 100% 30/10",
        ),
        (
            replace(JOB, status="started", progress={"done": 1, "total": None, "note": "a"}),
            "started   1 a",
        ),
        (
            replace(JOB, status="started", progress={"done": 0, "total": 0, "note": "\x1b[2J"}),
            "started   0 \\x1b[2J",
        ),
        (replace(JOB, status="failed", error="E: x\nsecret"), "failed    E: x\\nsecret"),
        (replace(JOB, status="finished", result={"a": 1}), 'finished  {"a": 1}'),
        (replace(JOB, status="finished", result=["Zoë", "\x9b"]), 'finished  ["Zoë", "\\x9b"]'),
        (replace(JOB, status="finished"), "finished"),
    ],
)  # fmt: skip
def test_the_line_says_how_far_the_job_is(job, line):
    assert summary(job, NOW) == line


def test_a_narrow_table_has_the_numbers_of_a_progress_and_no_bar():
    progress = {"done": 3, "total": 10, "note": "parsing"}

    assert details(replace(JOB, status="started", progress=progress), NOW) == " 30% 3/10 parsing"
