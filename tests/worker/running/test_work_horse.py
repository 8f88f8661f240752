"""Functions that do to their process what functions do."""

import base64
import os
import signal
import time
from pathlib import Path

import pytest
from rq import Queue
from rq.job import Job

from spigot.jobs.store import keys
from tests.support.consistency import problems, status_of, wait_for_lines
from tests.support.processes import is_alive, wait_for

SAMPLE = "tests.support.worker_jobs"


@pytest.fixture
def run(redis, rq_queue, start_worker):
    """Have a worker run a function that plain RQ enqueued; return the job once it has ended."""

    def run(name, *args, **options) -> Job:
        job = rq_queue.enqueue(f"{SAMPLE}.{name}", args=args, **options)
        start_worker()
        wait_for(lambda: status_of(redis, job.id) in ("finished", "failed", "canceled"))
        assert not list(problems(redis, "default", [job.id]))
        return Job.fetch(job.id, connection=redis, serializer="json")

    return run


def error_of(redis, job: Job) -> str:
    return redis.hget(keys.job(job.id), "spigot_error").decode()


@pytest.mark.slow
def test_returns_megabytes(run):
    assert len(run("return_bytes", 8_000_000).return_value()) == 8_000_000


def test_returns_more_than_is_kept(run, redis):
    assert error_of(redis, run("return_bytes", 9_000_000)) == (
        "UnwritableResult: result: 9000002 bytes are more than 8388608; keep it elsewhere, and "
        "return where it is"
    )


def test_prints_a_lot(run, tmp_path):
    assert run("print_lines", 20_000).return_value() == "printed"
    assert "line 19999 " in (tmp_path / "worker-0.log").read_text()


def test_forks_and_comes_back_twice(run):
    assert run("fork_and_return").return_value() == "parent"


def test_finds_rqs_environment(run):
    job = run("environment")

    assert job.return_value() == {"RQ_WORKER_ID": job.worker_name, "RQ_JOB_ID": job.id}


def test_closes_the_pipe_of_its_worker(run, redis, tmp_path):
    job = run("close_all_files")

    assert error_of(redis, job) == "ClosedPipe: the function closed its worker's pipe"
    assert len(wait_for_lines(tmp_path / "results.jsonl", 1)) == 1


def test_closing_its_pipe_keeps_no_worker_busy(redis, rq_queue, start_worker):
    job = rq_queue.enqueue(f"{SAMPLE}.close_all_files_and_nap", 1)
    worker = start_worker()
    wait_for(lambda: status_of(redis, job.id) == "failed")

    assert cpu_seconds(worker.pid) < 0.5


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def test_leaves_by_sys_exit(run, redis):
    assert error_of(redis, run("exit_politely")) == "SystemExit: enough"


def test_leaves_by_os_exit(run, redis):
    job = run("exit_at_once", 3)

    assert error_of(redis, job) == (
        "Abandoned: cut off 3 times, at last: Killed: its work horse exited with 3"
    )


def test_what_a_killed_function_started_is_killed_too(run, tmp_path):
    run("leave_a_child", str(tmp_path))
    children = [int(mark.name.rpartition("-")[2]) for mark in tmp_path.glob("child-*")]

    assert len(children) == 3
    wait_for(lambda: not any(map(is_alive, children)))


def test_a_timeout_is_raised_in_the_function(run, redis):
    started = time.monotonic()
    job = run("nap", 60, job_timeout=1)

    assert time.monotonic() - started < 5
    assert error_of(redis, job) == (
        "JobTimeoutException: Task exceeded maximum timeout value (1 seconds)"
    )


def test_an_error_that_cannot_be_told_is_told(run, redis):
    assert error_of(redis, run("raise_mute")) == "MuteError: its message cannot be read"


def test_a_pickled_job_fails_and_says_why(redis, rq_queue, start_worker):
    job = Queue("default", connection=redis).enqueue(f"{SAMPLE}.double", 1)
    start_worker()
    wait_for(lambda: status_of(redis, job.id) == "failed")

    assert "serializer='json'" in error_of(redis, job)


def test_a_job_that_cannot_even_be_read_fails(redis, rq_queue, start_worker, tmp_path):
    job = rq_queue.enqueue(f"{SAMPLE}.double", 1)
    redis.hset(keys.job(job.id), "timeout", "soon")
    after = rq_queue.enqueue(f"{SAMPLE}.double", 1)
    worker = start_worker()
    wait_for(lambda: status_of(redis, after.id) == "finished")

    assert status_of(redis, job.id) == "failed"
    assert error_of(redis, job).startswith("Unreadable: ")
    assert worker.exit_code() is None
    lines = wait_for_lines(tmp_path / "results.jsonl", 2)
    assert [line["status"] for line in lines] == ["failed", "finished"]


def test_sigterm_to_the_work_horse_is_left_to_its_worker(redis, job_queue, start_worker, tmp_path):
    job = job_queue.enqueue("trace", {"folder": str(tmp_path), "seconds": 0.4})
    worker = start_worker()
    wait_for((tmp_path / "1.started").exists)
    signal_all_like_a_service_manager(worker)

    assert worker.wait() == 0
    assert status_of(redis, job.id) == "finished"


def signal_all_like_a_service_manager(worker) -> None:
    (horse,) = worker.horses
    os.kill(horse, signal.SIGTERM)
    worker.send(signal.SIGTERM)


def test_processes_of_the_function_still_heed_sigterm(run):
    assert run("terminate_a_process").return_value() == -15


def test_return_value_is_stored_as_rq_stores_it(run, redis):
    job = run("double", 21)

    assert job.return_value() == 42
    ((_, entry),) = redis.xrange(keys.results(job.id))
    assert base64.b64decode(entry[b"return_value"]) == b"42"
