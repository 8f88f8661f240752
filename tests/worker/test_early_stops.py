"""RQ's command to stop a job is obeyed also before the job's worker has it in hand."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import Redis
from rq.command import send_stop_job_command
from rq.serializers import JSONSerializer

from spigot.jobs.job.requeueing import JobRequeuer
from spigot.jobs.job.state import JobReader
from spigot.jobs.store import keys
from spigot.worker.running.early_stops import MOST_CLAIMED, EarlyStops
from tests.support.holding_proxy import HoldingProxy
from tests.support.processes import wait_for

KINDS = [
    pytest.param({"simple": True}, id="simple worker"),
    pytest.param({}, id="forking worker"),
    pytest.param({"concurrency": 3}, id="pool"),
]


CLAIMED = re.compile(rb"\n(job|new)\r\n")
"""What ``leak.lua`` answers to a claim begins so."""


def stop(redis: Redis, job_id: str) -> None:
    send_stop_job_command(redis, job_id, serializer=JSONSerializer)


@pytest.fixture
def proxy(redis) -> Iterator[HoldingProxy]:
    """A server that keeps the answer to the first claim from its worker."""
    server = Path(redis.connection_pool.connection_kwargs["path"])
    with TemporaryDirectory() as folder:  # the path of a socket must be short
        proxy = HoldingProxy(server, Path(folder) / "redis.sock", CLAIMED.search)
        yield proxy
        proxy.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_job_that_is_stopped_between_its_claim_and_the_answer_never_begins(
    proxy, start_worker, job_queue, redis, tmp_path, kind
):
    read = JobReader(redis).read
    stopped, other = (
        job_queue.enqueue("note_start", {"folder": str(tmp_path), "is_refused": False}).id
        for _ in range(2)
    )
    database = redis.connection_pool.connection_kwargs.get("db", 0)
    worker = start_worker(redis_url=f"{proxy.url}?db={database}", lease_seconds=30, **kind)
    wait_for(lambda: proxy.is_holding)
    assert redis.hget(keys.job(stopped), "status") == b"started"

    stop(redis, stopped)
    wait_for(lambda: f"job {stopped} is stopped when it begins" in worker.log)
    proxy.release()
    wait_for(lambda: read(other).status == "finished")
    wait_for(lambda: read(stopped).status == "cancelled")

    assert [mark.name for mark in tmp_path.glob("*.started")] == [f"{other}-1.started"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_of_a_job_that_has_ended_does_not_hit_its_next_attempt(
    start_worker, job_queue, redis, tmp_path, kind
):
    read = JobReader(redis).read
    job = job_queue.enqueue("fail_first", {}).id
    start_worker(lease_seconds=30, **kind)
    wait_for(lambda: read(job).status == "failed")

    stop(redis, job)
    later = job_queue.enqueue("wait_together", {"folder": str(tmp_path), "name": "later"}).id
    wait_for((tmp_path / "later.here").exists)
    stop(redis, later)  # heard after the first command, and seen to be obeyed
    wait_for(lambda: read(later).status == "cancelled")
    JobRequeuer(redis).requeue(job)
    wait_for(lambda: read(job).status == "finished")


class TestEarlyStops:
    @pytest.fixture
    def stops(self) -> EarlyStops:
        return EarlyStops()

    def test_of_a_job_that_is_being_claimed_is_kept_until_it_is_in_hand(self, stops):
        stops.note_question()
        assert stops.note_stop("job")
        stops.note_answer(["job", "other"])

        assert not stops.take("other")
        assert stops.take("job")
        assert not stops.take("job")

    def test_of_a_job_that_was_claimed_is_kept_over_the_next_question(self, stops):
        stops.note_question()
        stops.note_answer(["job"])
        assert stops.note_stop("job")
        stops.note_question()
        stops.note_answer([])

        assert stops.take("job")

    def test_of_a_job_that_another_question_did_not_bring_is_dropped(self, stops):
        stops.note_question()
        stops.note_stop("job")
        stops.note_answer(["other"])
        stops.note_question()
        stops.note_answer(["job"])

        assert not stops.take("job")

    def test_of_a_job_that_is_in_hand_or_was_never_here_is_not_kept(self, stops):
        stops.note_question()
        stops.note_answer(["job"])
        stops.take("job")

        assert not stops.note_stop("job")
        assert not stops.note_stop("other")

    def test_of_a_job_that_was_never_in_hand_is_forgotten_in_the_end(self, stops):
        stops.note_answer(["lost", "lost too"])
        assert stops.note_stop("lost")
        for number in range(MOST_CLAIMED):
            stops.note_answer([f"job {number}"])

        assert not stops.note_stop("lost too")
        assert not stops.take("lost")
        assert stops.note_stop("job 0")
