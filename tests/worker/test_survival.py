"""The most telling cases of the crash sweep, each in a few seconds."""

import signal
import time
from pathlib import Path

import pytest

from spigot.jobs.store import keys
from tests.support.consistency import problems, problems_of_log, status_of, wait_for_lines
from tests.support.processes import is_alive, wait_for

LEASE = 1.0


def time_of(mark: Path) -> float:
    wait_for(mark.exists)
    return float(mark.read_text().split()[0])


@pytest.mark.parametrize("kill", ["kill", pytest.param("kill_with_horse", marks=pytest.mark.slow)])
def test_a_job_of_a_killed_worker_runs_again_soon(kill, redis, job_queue, start_worker, tmp_path):
    job = job_queue.enqueue("hold_once", {"folder": str(tmp_path)})
    worker = start_worker(lease_seconds=LEASE)
    wait_for((tmp_path / "1.started").exists)
    (horse,) = worker.horses
    start_worker(lease_seconds=LEASE)
    killed_at = time.time()
    getattr(worker, kill)()

    assert time_of(tmp_path / "2.started") - killed_at < LEASE + 5
    wait_for(lambda: status_of(redis, job.id) == "finished")
    assert not is_alive(horse)
    lines = wait_for_lines(tmp_path / "results.jsonl", 2)
    assert [(line["status"], line["attempt"]) for line in lines] == [("reaped", 1), ("finished", 2)]
    assert not list(problems(redis, "default", [job.id]))
    assert not list(problems_of_log(redis, lines, [job.id], interval=1 / 200))


def test_a_stopped_worker_lets_its_job_finish(redis, job_queue, start_worker, tmp_path):
    job = job_queue.enqueue("trace", {"folder": str(tmp_path), "seconds": 0.4})
    worker = start_worker()
    wait_for((tmp_path / "1.started").exists)

    assert worker.stop() == 0
    assert status_of(redis, job.id) == "finished"
    lines = wait_for_lines(tmp_path / "results.jsonl", 1)
    assert [line["status"] for line in lines] == ["finished"]
    assert not list(problems(redis, "default", [job.id]))


def test_a_stopped_worker_gives_back_what_does_not_end(redis, job_queue, start_worker, tmp_path):
    job = job_queue.enqueue("hold_once", {"folder": str(tmp_path)})
    worker = start_worker(grace_seconds=0.5)
    wait_for((tmp_path / "1.started").exists)
    stopped_at = time.monotonic()

    assert worker.stop() == 0
    assert time.monotonic() - stopped_at < 0.5 + 1.5
    assert status_of(redis, job.id) == "queued"
    assert not redis.hexists(keys.job(job.id), "spigot_reaps")
    (line,) = wait_for_lines(tmp_path / "results.jsonl", 1)
    assert (line["status"], line["error"]) == ("reaped", "Stopped: its worker was told to stop")
    assert not list(problems(redis, "default", [job.id]))


def test_a_second_signal_ends_the_worker_at_once(redis, job_queue, start_worker, tmp_path):
    job_queue.enqueue("hold_once", {"folder": str(tmp_path)})
    worker = start_worker(grace_seconds=60)
    wait_for((tmp_path / "1.started").exists)
    (horse,) = worker.horses
    worker.send(signal.SIGTERM)
    worker.send(signal.SIGTERM)  # that of the same Ctrl-C
    time.sleep(1.2)
    assert worker.exit_code() is None
    worker.send(signal.SIGINT)

    assert worker.wait(2) == 1
    wait_for(lambda: not is_alive(horse), seconds=2)


def test_a_killed_work_horse_is_a_reap_and_three_are_enough(
    redis, job_queue, start_worker, tmp_path
):
    job = job_queue.enqueue("die", {})
    start_worker()
    wait_for(lambda: status_of(redis, job.id) == "failed")

    lines = wait_for_lines(tmp_path / "results.jsonl", 3)
    assert [line["status"] for line in lines] == ["reaped", "reaped", "abandoned"]
    assert lines[0]["error"] == "Killed: its work horse was killed by SIGKILL"
    assert lines[2]["error"] == (
        "Abandoned: cut off 3 times, at last: Killed: its work horse was killed by SIGKILL"
    )
    assert redis.hget(keys.job(job.id), "spigot_error").decode() == lines[2]["error"]
    assert not list(problems(redis, "default", [job.id]))
