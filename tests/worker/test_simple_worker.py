"""The worker that forks nothing keeps the same promises, as far as one process can."""

import os
import signal
import threading
import time
from dataclasses import replace
from unittest.mock import Mock

import pytest
from rq import Queue
from rq.command import send_stop_job_command
from rq.job import Job
from rq.serializers import JSONSerializer
from rq.timeouts import UnixSignalDeathPenalty

from spigot.jobs.bucket.metrics import BucketMetricsReader
from spigot.jobs.job.cancelling import JobCanceller
from spigot.jobs.store import keys
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.running.claimed_job import ClaimedJob
from spigot.worker.running.early_stops import EarlyStops
from spigot.worker.running.hold_news import HoldNews
from spigot.worker.running.in_process_runner import InProcessRunner
from spigot.worker.running.outcome import Outcome
from spigot.worker.running.runner import RunnerTools
from tests.support.consistency import problems, status_of, wait_for_lines
from tests.support.processes import wait_for

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGUSR2)


@pytest.fixture
def start(start_worker):
    return lambda **settings: start_worker(simple=True, **settings)


@pytest.fixture
def running(job_queue, start, tmp_path):
    """Return a function that starts a worker whose job runs for ever at its first attempt."""

    def begin(type: str = "hold_once", **settings):
        job = job_queue.enqueue(type, {"folder": str(tmp_path)})
        worker = start(**settings)
        wait_for((tmp_path / "1.started").exists)
        return job, worker

    return begin


def goes_on(job_queue, redis) -> bool:
    """Whether a further job is run, by whichever worker there is."""
    job = job_queue.enqueue("echo", {"value": 1})
    wait_for(lambda: status_of(redis, job.id) == "finished")
    return True


def test_jobs_run_in_the_workers_process(job_queue, redis, start, tmp_path):
    worker = start()
    jobs = [job_queue.enqueue("whoami", {}) for _ in range(3)]

    lines = wait_for_lines(tmp_path / "results.jsonl", 3)

    assert [line["result"] for line in lines] == [worker.pid] * 3
    assert not list(problems(redis, "default", [job.id for job in jobs]))


def test_its_starts_are_measured_like_all_others(job_queue, redis, start, tmp_path):
    start()
    job_queue.enqueue("echo", {"value": 1})
    wait_for_lines(tmp_path / "results.jsonl", 1)

    metrics = BucketMetricsReader(redis).read("default")

    assert metrics.histograms["late", ""].counts[-1] == 1
    assert metrics.histograms["run", "echo"].counts[-1] == 1


@pytest.mark.parametrize(
    ("type", "statuses"),
    [
        ("note", ["finished"]),
        ("stumble", ["retrying", "finished"]),
        ("refused", ["rate_limited", "finished"]),
        ("leave", ["failed"]),
    ],
)
def test_what_functions_do_ends_as_with_a_fork(job_queue, redis, start, tmp_path, type, statuses):
    job = job_queue.enqueue(type, {})
    start()

    lines = wait_for_lines(tmp_path / "results.jsonl", len(statuses))

    assert [line["status"] for line in lines] == statuses
    wait_for(lambda: status_of(redis, job.id) == statuses[-1])
    assert goes_on(job_queue, redis)


def test_a_function_ends_at_its_timeout(job_queue, redis, start, tmp_path):
    job_queue.enqueue("too_long", {})
    begun = time.monotonic()
    start()

    (line,) = wait_for_lines(tmp_path / "results.jsonl", 1)

    assert line["status"] == "failed"
    assert line["error"].startswith("JobTimeoutException")
    assert 1 <= time.monotonic() - begun < 5
    assert goes_on(job_queue, redis)


class TestStop:
    def test_lets_the_function_finish_in_its_grace_time(self, job_queue, redis, start, tmp_path):
        job = job_queue.enqueue("trace", {"folder": str(tmp_path), "seconds": 0.4})
        worker = start()
        wait_for((tmp_path / "1.started").exists)

        assert worker.stop() == 0
        assert status_of(redis, job.id) == "finished"

    def test_ends_the_function_when_that_is_over_and_gives_the_job_back(
        self, redis, running, tmp_path
    ):
        job, worker = running(grace_seconds=0.5)
        stopped_at = time.monotonic()

        assert worker.stop() == 0
        assert time.monotonic() - stopped_at < 0.5 + 2
        assert status_of(redis, job.id) == "queued"
        assert not redis.hexists(keys.job(job.id), "spigot_reaps")
        (line,) = wait_for_lines(tmp_path / "results.jsonl", 1)
        assert line["status"] == "reaped"
        assert line["error"] == "Stopped: its worker was told to stop"

    def test_a_second_signal_ends_the_worker_at_once(self, running):
        _, worker = running(grace_seconds=60)
        worker.send(signal.SIGTERM)
        time.sleep(1.2)
        worker.send(signal.SIGTERM)

        assert worker.wait(2) == 1

    def test_before_the_slot_gives_the_job_back_unbegun(self, bucket, redis, tmp_path):
        stop = StopSignals(on_second=lambda: None)
        tools = RunnerTools(
            hold_news=HoldNews("default"),
            early_stops=EarlyStops(),
            catalog=JobCatalog.load(["tests.support.worker_jobs"]),
            renewer=Mock(),
            stop=stop,
            grace_seconds=8,
            death_penalty=UnixSignalDeathPenalty,
        )
        runner = InProcessRunner(tools)
        queue = Queue("default", connection=redis, serializer=JSONSerializer)
        queue.enqueue("tests.support.worker_jobs.leave_mark", str(tmp_path), "begun")
        claim = replace(bucket.claim(), start_at=time.monotonic() + 60)
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGTERM)).start()
        former = {number: signal.getsignal(number) for number in STOPPING}
        try:
            stop.install()
            outcome = runner.run(ClaimedJob.of(claim, redis))
        finally:
            signal.set_wakeup_fd(-1)
            for number, handler in former.items():
                signal.signal(number, handler)

        assert outcome == Outcome("not_started")
        assert not list(tmp_path.iterdir())


class TestInterruption:
    def test_rqs_stop_command_ends_the_function(self, job_queue, redis, running, tmp_path):
        job, _ = running()

        send_stop_job_command(redis, job.id, serializer=JSONSerializer)

        wait_for(lambda: status_of(redis, job.id) == "canceled")
        (line,) = wait_for_lines(tmp_path / "results.jsonl", 1)
        assert (line["status"], line["error"]) == (
            "cancelled",
            "Cancelled: it was stopped while it ran",
        )
        assert goes_on(job_queue, redis)

    def test_a_cancelled_job_is_stopped(self, job_queue, redis, running):
        job, _ = running()

        assert JobCanceller(redis, keep_seconds=60).cancel(job.id).outcome == "stopping"

        wait_for(lambda: status_of(redis, job.id) == "canceled")
        assert goes_on(job_queue, redis)

    def test_a_lost_lease_ends_the_function_and_writes_nothing(
        self, job_queue, redis, running, tmp_path
    ):
        job, worker = running(lease_seconds=1)
        token = redis.hget(keys.job(job.id), "spigot_token").decode()

        redis.delete(keys.lease(token))
        redis.zrem(keys.leases("default"), token)

        wait_for(lambda: "is not ours any more" in worker.log)
        assert not (tmp_path / "results.jsonl").exists()
        assert goes_on(job_queue, redis)

    @pytest.mark.slow
    def test_one_that_does_not_heed_it_takes_the_worker_along(
        self, job_queue, redis, running, start, tmp_path
    ):
        job, worker = running("stubborn", lease_seconds=1)

        JobCanceller(redis, keep_seconds=60).cancel(job.id)

        assert worker.wait(20) == 1
        assert "the running function does not end" in worker.log
        start(lease_seconds=1)
        wait_for(lambda: status_of(redis, job.id) == "canceled")

    def test_leaves_the_functions_cleanup_to_it(self, redis, running, tmp_path):
        job, _ = running("tidy")

        send_stop_job_command(redis, job.id, serializer=JSONSerializer)

        wait_for((tmp_path / "tidied").exists)
        wait_for(lambda: status_of(redis, job.id) == "canceled")

    def test_is_seen_in_a_task_group(self, job_queue, redis, running):
        job, _ = running("tasks")

        send_stop_job_command(redis, job.id, serializer=JSONSerializer)

        wait_for(lambda: status_of(redis, job.id) == "canceled")
        assert goes_on(job_queue, redis)

    def test_of_a_function_that_returned_meanwhile_changes_nothing(self, redis, running, tmp_path):
        """The function returns while it is told to stop: its work is done."""
        job, _ = running("defiant")

        send_stop_job_command(redis, job.id, serializer=JSONSerializer)

        wait_for(lambda: status_of(redis, job.id) == "finished")


@pytest.mark.slow
def test_a_killed_workers_job_runs_again(job_queue, redis, running, start, tmp_path):
    job, worker = running(lease_seconds=1)
    start(lease_seconds=1)

    worker.kill()

    wait_for(lambda: status_of(redis, job.id) == "finished")
    assert Job.fetch(job.id, connection=redis, serializer=JSONSerializer).return_value() == "done"


def test_a_stop_between_two_jobs_hurts_nobody(job_queue, redis, start, tmp_path):
    """Commands that come when their job has just ended must not end the next one."""
    worker = start()
    jobs = [job_queue.enqueue("echo", {"value": number}) for number in range(60)]
    for job in jobs:
        wait_for(lambda job=job: status_of(redis, job.id) in ("started", "finished", "canceled"))
        if status_of(redis, job.id) == "started":
            send_stop_job_command(redis, job.id, serializer=JSONSerializer)

    wait_for_lines(tmp_path / "results.jsonl", 60)

    assert worker.exit_code() is None
    assert {status_of(redis, job.id) for job in jobs} <= {"finished", "canceled"}
    assert not list(problems(redis, "default", [job.id for job in jobs]))
