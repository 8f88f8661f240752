"""What operators say reaches workers that run, and those that sleep towards a slot far away."""

import json
import time
from itertools import pairwise

import pytest

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.bucket.state import BucketReader
from spigot.jobs.store import keys
from spigot.runtime.rate import Rate
from tests.support.consistency import problems, read_lines, status_of, wait_for_lines
from tests.support.processes import wait_for
from tests.support.warm_python import warm_python

SECOND_US = 1_000_000
CLAIM_AHEAD = 0.05
MARKS = ("1.started", "1.ended")


@pytest.fixture
def control(redis):
    return BucketControl(redis, by="ada")


@pytest.fixture
def log(tmp_path):
    return tmp_path / "results.jsonl"


@pytest.fixture
def enqueue(job_queue):
    return lambda count: [job_queue.enqueue("echo", {"value": n}).id for n in range(count)]


def server_time(redis) -> float:
    seconds, micros = redis.time()
    return seconds + micros / SECOND_US


def all_asleep(redis, count: int) -> None:
    """Wait until so many workers wait for a wake-up."""
    wait_for(lambda: sum(c["cmd"] == "blpop" for c in redis.client_list()) == count)


class TestOneAnHour:
    @pytest.fixture
    def numbers(self):
        return {"rate": "1/h"}

    @pytest.fixture
    def waiting(self, enqueue, redis, start_worker, log):
        """Three workers, two of which watch for a slot that is an hour away."""
        ids = enqueue(8)
        for _ in range(3):
            start_worker()
        wait_for_lines(log, 1)
        all_asleep(redis, 3)
        return ids

    def test_a_new_rate_counts_at_once(self, waiting, control, redis, log):
        control.set("default", BucketChange(rate=Rate.parse("100/s")))
        begun = server_time(redis)

        slots = [line["slot_at"] for line in wait_for_lines(log, 8)]

        assert slots[1] - begun < 1
        assert min(b - a for a, b in pairwise(sorted(slots))) >= 0.01 - 1e-6

    def test_a_new_file_counts_soon(self, waiting, log, tmp_path):
        (tmp_path / "buckets.json").write_text('{"default": {"rate": "100/s"}}')

        wait_for_lines(log, 8)

    @pytest.mark.slow
    def test_a_purge_is_logged_by_whoever_works(self, waiting, control, redis, log):
        assert control.purge("default", keep_seconds=60) == 7

        lines = wait_for_lines(log, 8)

        assert sorted(line["status"] for line in lines) == ["cancelled"] * 7 + ["finished"]
        assert not list(problems(redis, "default", waiting))


class TestFast:
    @pytest.fixture
    def numbers(self):
        return {"rate": "50/s"}

    def test_no_job_leaves_while_paused(self, enqueue, control, redis, start_worker, log):
        enqueue(60)
        for _ in range(3):
            start_worker(simple=True)
        wait_for_lines(log, 10)

        control.set("default", BucketChange(paused=True))
        paused = server_time(redis)
        wait_for(lambda: redis.zcard(keys.leases("default")) == 0)
        time.sleep(0.5)  # in which 25 would leave
        resumed = server_time(redis)
        control.set("default", BucketChange(paused=False))

        slots = [line["slot_at"] for line in wait_for_lines(log, 60)]
        assert not [slot for slot in slots if paused + CLAIM_AHEAD < slot < resumed]

    def test_no_more_than_max_running_run_at_once(
        self, job_queue, control, redis, start_worker, log, tmp_path
    ):
        for number in range(6):
            folder = tmp_path / str(number)
            folder.mkdir()
            job_queue.enqueue("trace", {"folder": str(folder), "seconds": 0.2})
        BucketPublisher(redis).publish({"default": BucketConfig()})
        control.set("default", BucketChange(max_running=2))
        for _ in range(4):
            start_worker()

        wait_for_lines(log, 6)

        spans = [
            [float((tmp_path / str(n) / mark).read_text().split()[0]) for mark in MARKS]
            for n in range(6)
        ]
        assert max(sum(a <= begun < b for a, b in spans) for begun, _ in spans) <= 2

    def test_a_drain_ends_when_the_bucket_is_empty(
        self, enqueue, redis, redis_url, start_worker, tmp_path, log
    ):
        ids = enqueue(25)
        start_worker()
        command = ["-m", "spigot", "bucket", "drain", "default"]
        environment = {"REDIS_URL": redis_url, "PATH": ""}

        drain = warm_python().run(*command, environment=environment, folder=tmp_path)

        assert drain.returncode == 0, drain.stderr
        assert "Draining default" in drain.stdout
        assert drain.stdout.endswith("resume default`\n")
        assert {status_of(redis, job_id) for job_id in ids} == {"finished"}
        assert BucketReader(redis).read("default").draining


def test_every_change_is_in_the_list(redis, control, start_worker, tmp_path):
    start_worker()
    wait_for(lambda: redis.zcard(keys.workers("default")) == 1)
    control.set("default", BucketChange(capacity=5))
    (tmp_path / "buckets.json").write_text('{"default": {"rate": "3/s"}}')
    wait_for(lambda: redis.llen(keys.changes("default")) == 2)

    newest, oldest = [json.loads(r) for r in redis.lrange(keys.changes("default"), 0, -1)]

    assert (oldest["by"], oldest["changes"]) == ("ada", {"capacity": ["1000", "5"]})
    assert newest["by"].startswith("buckets.json of ")
    assert newest["changes"] == {"rate": ["200/s", "3/s"]}
    assert len(read_lines(tmp_path / "results.jsonl")) == 0
