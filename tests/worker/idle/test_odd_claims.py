"""Entries that only a stranger can have written, before a real worker: the jobs behind them run."""

import json

import pytest

from spigot.jobs.store import keys
from tests.support.consistency import read_lines, status_of
from tests.support.processes import wait_for

NO_TEXT = b"\xff\xfe"


def write_odd_entries(redis, job_queue):
    """Put each before the jobs that are good."""
    queue = keys.queue("default")
    template = job_queue.enqueue("echo", {"value": 0}).id
    for job_id in (NO_TEXT, b"a b"):
        redis.hset(b"rq:job:" + job_id, mapping=redis.hgetall(keys.job(template)))
        redis.lpush(queue, job_id)
    redis.set("rq:job:text", "no hash")
    redis.lpush(queue, "text", b"\x00", "ghost")
    redis.zadd(keys.delayed("default"), {"text": 1, NO_TEXT + b"2": 1})
    redis.sadd(keys.dependents("default"), NO_TEXT, "text")
    redis.zadd(keys.leases("default"), {"gone": 1, "odd": 2, NO_TEXT: 3})
    redis.hset(keys.lease("odd"), "job", "nobody")
    lines = {"a": "no end", "b": b"w\n\xff", NO_TEXT: 'w\n{"id":"x"}', "c": "w\nno JSON"}
    redis.hset(keys.unlogged("default"), mapping=lines)
    redis.hset(keys.job(template), "spigot_log", '{"a": NaN,\n no JSON')


@pytest.mark.parametrize("simple", [pytest.param(True, marks=pytest.mark.slow), False])
def test_jobs_behind_odd_entries_run(redis, job_queue, start_worker, tmp_path, simple):
    write_odd_entries(redis, job_queue)
    good = [job_queue.enqueue("echo", {"value": number}).id for number in range(3)]
    worker = start_worker(simple=simple)

    wait_for(lambda: {status_of(redis, job_id) for job_id in good} == {"finished"}, 30)
    wait_for(lambda: not redis.scard(keys.dependents("default")), 30)
    wait_for(lambda: not redis.zcard(keys.leases("default")), 30)

    assert worker.stop() == 0
    assert all(isinstance(line, dict) for line in read_lines(tmp_path / "results.jsonl"))
    for text in (tmp_path / "results.jsonl").read_text("utf-8").splitlines():
        json.loads(text, parse_constant=lambda word: pytest.fail(word))
    assert "Traceback" not in worker.log
