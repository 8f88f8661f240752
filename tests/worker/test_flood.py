"""Pools that are killed while jobs are due faster than they run: also those that nobody has in hand
yet, because they were asked for ahead, are lost to none and run by one."""

import random
import signal
import time

import pytest

from spigot.jobs.store import keys
from tests.support.consistency import kept_lines, problems, problems_of_log, read_lines, status_of
from tests.support.processes import wait_for

JOBS = 6_000
SHARES = 20
"""After each share of the jobs something is done to a pool."""

POOL = {"concurrency": 60, "lease_seconds": 1, "grace_seconds": 0.2}
RATE = 10_000


@pytest.fixture
def numbers():
    return {"rate": f"{RATE}/s", "capacity": 2 * JOBS}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_nothing_is_lost_of_a_flood(redis, job_queue, start_worker, tmp_path):
    rng = random.Random(7)
    redis.set("rq:suspended", 1)
    new = [job_queue.accept("echo", {"value": number}) for number in range(JOBS)]
    accepted = [job.id for job in job_queue.enqueue_many(new)]
    pools = [start_worker(**POOL) for _ in range(2)]
    redis.delete("rq:suspended")

    for share in range(1, SHARES):
        left = JOBS * (SHARES - share) // SHARES
        wait_for(lambda left=left: redis.llen(keys.queue("default")) <= left, 60)
        match share % 4:
            case 0:
                pools.pop(0).kill_with_horse()
            case 1:
                redis.script_flush()
                redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            case 2:
                rng.choice(pools).kill_horses()
            case 3:
                pools.pop(0).send(signal.SIGTERM)
        if len(pools) < 2:
            pools.append(start_worker(**POOL))
        time.sleep(rng.random() * 0.1)

    wait_for(lambda: all(status_of(redis, job_id) == "finished" for job_id in accepted), 60)
    assert not list(problems(redis, "default", accepted))
    assert [pool.stop() for pool in pools] == [0, 0]
    lines = read_lines(tmp_path / "results.jsonl") + kept_lines(redis, "default")
    assert not list(problems_of_log(redis, lines, accepted, interval=1 / RATE))
