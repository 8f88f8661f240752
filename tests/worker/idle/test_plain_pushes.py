"""Jobs that plain RQ pushes, into a bucket whose workers are idle."""

from statistics import median

import pytest

from spigot.jobs.store import keys
from tests.support.consistency import read_lines, wait_for_lines
from tests.support.processes import wait_for
from tests.support.round_trips import commands_done

SECOND_US = 1_000_000
PUSHES = 15


def server_time(redis) -> float:
    seconds, micros = redis.time()
    return seconds + micros / SECOND_US


def all_idle(redis, workers: int) -> None:
    """Wait until each worker waits for a wake-up, and somebody looks at the queue."""

    def waits() -> bool:
        waiting = [c["cmd"] for c in redis.client_list() if "b" in c["flags"]]
        return waiting.count("blpop") == workers and "blmove" in waiting

    wait_for(waits)


@pytest.mark.parametrize("workers", [1, 3])
def test_start_at_once(redis, rq_queue, start_worker, tmp_path, workers):
    log = tmp_path / "results.jsonl"
    for _ in range(workers):
        start_worker(simple=True)
    waited = []
    for number in range(1, PUSHES + 1):
        all_idle(redis, workers)
        pushed = server_time(redis)
        rq_queue.enqueue("math.sqrt", number)
        waited.append(wait_for_lines(log, number)[-1]["slot_at"] - pushed)

    assert median(waited) < 0.1  # polling would take 0.4 s


def test_are_left_where_they_are_while_the_bucket_is_paused(
    redis, rq_queue, start_worker, tmp_path
):
    start_worker(simple=True)
    all_idle(redis, 1)
    redis.hset(keys.bucket("default"), "paused", 1)
    ids = [rq_queue.enqueue("math.sqrt", number).id for number in range(3)]
    before = commands_done(redis)
    redis.blpop("nothing", timeout=1)

    assert commands_done(redis) - before < 150  # nobody asks again and again
    assert rq_queue.job_ids == ids
    assert not read_lines(tmp_path / "results.jsonl")
