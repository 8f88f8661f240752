"""RQ's own clean-up and command: neither fails, doubles or drops a job."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from redis import Redis
from rq import Callback, Queue, Worker
from rq.command import send_shutdown_command, send_stop_job_command
from rq.job import Job
from rq.registry import StartedJobRegistry, clean_registries
from rq.serializers import JSONSerializer

from spigot.jobs.store import keys
from tests.support.clocked_bucket import ClockedBucket
from tests.support.consistency import problems, status_of
from tests.support.fleet import Fleet
from tests.support.processes import wait_for
from tests.support.redis_content import content
from tests.support.warm_python import WarmProcess, warm_python

SAMPLE = "tests.support.worker_jobs"


@pytest.fixture
def everywhere(bucket: ClockedBucket, redis: Redis) -> list[str]:
    """A job in each place: running, waiting, delayed, ended in each way, waiting for another."""
    for name in ("finished", "failed", "retried", "running", "running-2", "cancelled", "queued"):
        bucket.enqueue(name, "retried")
    bucket.finish(bucket.claim())
    bucket.fail(bucket.claim())
    bucket.retry(bucket.claim(), delay=9999)
    for _ in range(2):
        bucket.claim()
    bucket.cancel("cancelled")
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    parent = Job.fetch("running", connection=redis, serializer=JSONSerializer)
    child = queue.enqueue(f"{SAMPLE}.double", 1, depends_on=parent, job_id="child")
    assert child.get_status() == "deferred"
    ids = ["finished", "failed", "retried", "running", "running-2", "cancelled", "queued", "child"]
    assert not list(problems(redis, "default", ids))
    return ids


def clean_up_queues(redis: Redis) -> None:
    for name in keys.queue_names("default"):
        clean_registries(Queue(name, connection=redis, serializer=JSONSerializer))


def clean_up_by_worker(redis: Redis) -> None:
    worker = Worker(keys.queue_names("default"), connection=redis, serializer=JSONSerializer)
    for _ in range(2):  # at first sight it only takes note
        worker.clean_registries()


def clean_up_of_tomorrow(redis: Redis) -> None:
    registry = StartedJobRegistry("default", connection=redis, serializer=JSONSerializer)
    registry.cleanup(timestamp=9e15)


def look_at_all(redis: Redis) -> None:
    for name in keys.queue_names("default"):
        queue = Queue(name, connection=redis, serializer=JSONSerializer)
        for registry in (
            queue.started_job_registry,
            queue.finished_job_registry,
            queue.failed_job_registry,
            queue.deferred_job_registry,
            queue.scheduled_job_registry,
            queue.canceled_job_registry,
        ):
            for job_id in {*registry.get_job_ids(), *queue.get_job_ids()}:
                Job.fetch(job_id, connection=redis, serializer=JSONSerializer).get_status()
            assert registry.count >= 0


@pytest.mark.parametrize(
    "clean_up", [clean_up_queues, clean_up_by_worker, clean_up_of_tomorrow, look_at_all]
)
def test_rqs_clean_up_and_reading_change_nothing(everywhere, redis, clean_up):
    before = content(redis)

    clean_up(redis)

    assert content(redis) == before


def test_no_failure_callback_runs_where_jobs_are_looked_at(bucket, redis, monkeypatch):
    called = []
    monkeypatch.setattr("tests.support.worker_jobs.fail", lambda *_: called.append(1))
    queue = Queue("default", connection=redis, serializer=JSONSerializer)
    callback = Callback(f"{SAMPLE}.fail")
    queue.enqueue(f"{SAMPLE}.double", 1, on_failure=callback)
    bucket.claim()

    look_at_all(redis)
    clean_up_by_worker(redis)
    clean_up_of_tomorrow(redis)

    assert not called


class TestRqsCommand:
    @contextmanager
    def worker(
        self, fleet: Fleet, *options: str, kind: str = "RateAwareWorker"
    ) -> Iterator[WarmProcess]:
        command = ["-m", "rq.cli", "worker", "-w", f"spigot.{kind}", *options]
        command += keys.queue_names("default")
        place = {"environment": fleet.environment, "folder": fleet.folder}
        with (
            (fleet.folder / "rq.out").open("ab") as output,
            warm_python().start(*command, output=output, errors=output, **place) as process,
        ):
            try:
                yield process
            finally:
                process.kill()

    @pytest.fixture
    def fleet(self, fleet: Fleet) -> Fleet:
        fleet.settings = {"SPIGOT_LEASE_SECONDS": "1", "SPIGOT_APPS": SAMPLE}
        return fleet

    def test_runs_plain_jobs_and_what_depends_on_them(self, fleet, redis):
        low = Queue("default-low", connection=redis, serializer=JSONSerializer)
        parent = low.enqueue(f"{SAMPLE}.double", 1)
        child = low.enqueue(f"{SAMPLE}.double", 2, depends_on=parent)
        with self.worker(fleet) as worker:
            wait_for(lambda: status_of(redis, child.id) == "finished")
            worker.send_signal(signal.SIGTERM)

            assert worker.wait(30) == 0
        assert not list(problems(redis, "default", [parent.id, child.id]))
        assert [line["id"] for line in fleet.log()] == [parent.id, child.id]

    def test_runs_a_pool_and_obeys_rqs_commands_to_it(self, fleet, redis, tmp_path):
        """Of three jobs of each kind that run at once, one is stopped; then it shuts down."""
        numbers = {"rate": "100/s", "concurrency": 6}
        (tmp_path / "buckets.json").write_text(json.dumps({"default": numbers}))
        queue = Queue("default", connection=redis, serializer=JSONSerializer)
        jobs = [
            queue.enqueue(f"{SAMPLE}.{function}", str(tmp_path), f"{function}-{number}")
            for function in ("meet", "wait_in_thread")
            for number in range(3)
        ]
        ids = [job.id for job in jobs]
        with self.worker(fleet, kind="RateAwarePoolWorker") as worker:
            wait_for(lambda: len(list(tmp_path.glob("*.here"))) == 6)
            for stopped in (ids[0], ids[3]):
                send_stop_job_command(redis, stopped, serializer=JSONSerializer)
            wait_for(lambda: status_of(redis, ids[0]) == status_of(redis, ids[3]) == "canceled")
            (seen,) = Worker.all(redis)
            wait_for(lambda: redis.hget(seen.key, "state") == b"busy")
            (tmp_path / "go").touch()
            wait_for(lambda: [status_of(redis, id_) for id_ in ids].count("finished") == 4)
            send_shutdown_command(redis, seen.name)

            assert worker.wait(30) == 0
        assert not list(problems(redis, "default", ids))
        assert {job.return_value() for job in jobs} == {True, None}

    @pytest.mark.slow
    def test_loses_no_job_when_it_is_killed(self, fleet, redis, tmp_path):
        queue = Queue("default", connection=redis, serializer=JSONSerializer)
        running = queue.enqueue(f"{SAMPLE}.start_and_nap", str(tmp_path), 1.5)
        child = queue.enqueue(f"{SAMPLE}.double", 2, depends_on=running)
        with self.worker(fleet) as worker:
            wait_for((tmp_path / "started").exists)
            os.kill(worker.pid, signal.SIGKILL)
        with self.worker(fleet):
            wait_for(lambda: status_of(redis, child.id) == "finished", 60)

        assert not list(problems(redis, "default", [running.id, child.id]))
        statuses = [line["status"] for line in fleet.lines_of(running.id)]
        assert statuses == ["reaped", "finished"]

    def test_refuses_queues_of_two_buckets(self, fleet):
        with self.worker(fleet, "mail") as worker:
            assert worker.wait(30) == 1

        assert "a worker serves one bucket" in (fleet.folder / "rq.out").read_text()
