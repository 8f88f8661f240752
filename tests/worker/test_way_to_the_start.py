"""What lies between a job's coming to an idle bucket and the call of its function."""

from pathlib import Path
from tempfile import mkdtemp

import pytest

from tests.support.counting_proxy import CountingProxy
from tests.support.processes import wait_for

JOBS = 6
"""One of them may come while the worker polls, which is counted, too."""


@pytest.fixture
def proxy(redis_url):
    folder = Path(mkdtemp(prefix="spigot-"))  # a socket's path must be short
    server = Path(redis_url.removeprefix("unix://"))
    proxy = CountingProxy(server, folder / "proxy.sock", lambda number, moment: True)
    proxy.url = f"unix://{folder}/proxy.sock"
    yield proxy
    proxy.close()


@pytest.fixture
def fewest_round_trips(redis, proxy, start_worker, tmp_path):
    """Return a function that counts what an idle worker asks from a job's coming to its start."""
    start_worker(redis_url=proxy.url, simple=True, lease_seconds=15)

    def is_idle() -> bool:
        waiting = {c["cmd"] for c in redis.client_list() if "b" in c["flags"]}
        return {"blpop", "blmove"} <= waiting

    def count(enqueue) -> int:
        counts = []
        for number in range(JOBS):
            folder = tmp_path / str(number)
            folder.mkdir()
            wait_for(is_idle)
            before = proxy.count
            enqueue({"folder": str(folder), "seconds": 0.2})
            wait_for((folder / "1.started").exists)
            counts.append(proxy.count - before)
            wait_for((folder / "1.ended").exists)
        return min(counts)

    return count


def test_a_job_that_is_enqueued_here_starts_after_one_round_trip(fewest_round_trips, job_queue):
    assert fewest_round_trips(lambda args: job_queue.enqueue("trace", args, priority="high")) == 1


def test_a_job_that_plain_rq_pushes_starts_after_two(fewest_round_trips, rq_queue):
    function = "tests.support.worker_jobs.trace"

    assert fewest_round_trips(lambda args: rq_queue.enqueue(function, kwargs=args)) == 2
