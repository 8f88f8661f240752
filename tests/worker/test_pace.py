"""The fleet starts jobs at the configured rate: read from the slots in the result log."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from spigot.jobs.store import keys
from spigot.runtime.rate import Rate
from tests.support.consistency import read_lines
from tests.support.processes import wait_for

SECOND_US = 1_000_000
PUNCTUAL_PART = 0.25
"""A machine that others keep busy may stall for longer than a job is claimed ahead."""

TRIES = 3


def slots_in(log: Path) -> list[int]:
    """Return the slots, Unix microseconds on the server's clock, in order."""
    return sorted(round(line["slot_at"] * SECOND_US) for line in read_lines(log))


def per_second(rate: Rate) -> float:
    return rate.count * SECOND_US / rate.period_us


def worst_second(slots: list[int]) -> int:
    """Return the most slots that lie within one second."""
    return max(sum(first <= slot < first + SECOND_US for slot in slots) for first in slots)


@pytest.fixture
def leak(redis, job_queue, start_worker, tmp_path):
    """Return a function that lets a full bucket leak and returns the slots."""

    def run(rate: str, workers: int, seconds: float, **kind: Any) -> list[int]:
        log = tmp_path / "results.jsonl"
        log.unlink(missing_ok=True)
        count = round(per_second(Rate.parse(rate)) * seconds) + 1
        redis.hset(keys.bucket("default"), mapping={"paused": 1})
        fleet = [start_worker(**kind) for _ in range(workers)]
        wait_for(lambda: redis.zcard(keys.workers("default")) == workers)
        for number in range(count):
            job_queue.enqueue("echo", {"value": number})
        redis.hset(keys.bucket("default"), mapping={"paused": ""})
        redis.lpush(keys.wake_up("default"), "1")
        wait_for(lambda: len(read_lines(log)) == count, seconds * 3 + 30)
        for worker in fleet:
            worker.stop()
        return slots_in(log)

    return run


def check_distance(slots: list[int], rate: Rate) -> None:
    assert min(later - earlier for earlier, later in pairwise(slots)) >= rate.interval_us
    assert worst_second(slots) <= per_second(rate)


def punctual_part(slots: list[int], rate: Rate) -> float:
    """Return which part of the slots follow the one before them exactly."""
    gaps = [later - earlier for earlier, later in pairwise(slots)]
    return gaps.count(rate.interval_us) / len(gaps)


def check_exact_rate(leak_once: Callable[[], list[int]], rate: Rate) -> None:
    """A fleet that is late by its own doing is late each time, one on a busy machine is not."""
    parts = []
    while not parts or (parts[-1] < PUNCTUAL_PART and len(parts) < TRIES):
        slots = leak_once()
        check_distance(slots, rate)
        parts.append(punctual_part(slots, rate))

    assert max(parts) >= PUNCTUAL_PART


class TestTwentyASecond:
    @pytest.fixture
    def numbers(self):
        return {"rate": "20/s", "capacity": 1000}

    @pytest.mark.parametrize("workers", [pytest.param(2, marks=pytest.mark.slow), 8])
    def test_is_never_exceeded_by_all_processes_together(self, leak, workers):
        check_distance(leak("20/s", workers, 2, simple=False), Rate.parse("20/s"))


@pytest.mark.slow
@pytest.mark.alone
class TestExactRate:
    @pytest.fixture(params=[("10/s", 1), ("10/s", 32), ("50/s", 4), ("100/s", 1), ("100/s", 32)])
    def case(self, request):
        return request.param

    @pytest.fixture
    def numbers(self, case):
        return {"rate": case[0], "capacity": 10_000}

    def test_is_kept_by_a_fleet_of_any_size(self, leak, case):
        """``benchmarks/pace.py --strict`` holds the rate itself, on a machine that is idle else."""
        rate, workers = case
        check_exact_rate(lambda: leak(rate, workers, 3, simple=True), Rate.parse(rate))


@pytest.mark.slow
@pytest.mark.alone
class TestHighRate:
    @pytest.fixture
    def numbers(self):
        return {"rate": "500/s", "capacity": 10_000}

    @pytest.mark.parametrize("pools", [1, 2])
    def test_is_kept_by_pools_that_claim_several_jobs_at_once(self, leak, pools):
        """As the exact rate; ``benchmarks/pool.py`` measures what 500/s and 1,000/s come to."""
        check_exact_rate(
            lambda: leak("500/s", pools, 1.5, concurrency=50, lease_seconds=60),
            Rate.parse("500/s"),
        )


class TestBurst:
    @pytest.fixture
    def numbers(self):
        return {"rate": "10/s burst 5", "capacity": 1000}

    def test_no_window_has_more_than_burst_and_rate(self, leak):
        slots = leak("10/s burst 5", 4, 2, simple=False)

        for first, begun_us in enumerate(slots):
            for last in range(first, len(slots)):
                assert last - first + 1 <= 5 + (slots[last] - begun_us) / 100_000


@pytest.mark.slow
class TestTwoASecond:
    @pytest.fixture
    def numbers(self):
        return {"rate": "2/s", "capacity": 1000}

    def test_goes_on_within_a_second_when_the_waiter_dies(
        self, redis, job_queue, start_worker, tmp_path
    ):
        log = tmp_path / "results.jsonl"
        workers = {worker.pid: worker for worker in [start_worker(simple=True) for _ in range(4)]}
        wait_for(lambda: redis.zcard(keys.workers("default")) == 4)
        for number in range(8):
            job_queue.enqueue("echo", {"value": number})
        wait_for(lambda: len(read_lines(log)) == 3)
        wait_for(lambda: redis.zcard(keys.pollers("default")) == 2)
        (poller,) = redis.zrange(keys.pollers("default"), 0, 0)
        workers[int(redis.hget(b"rq:worker:" + poller, "pid"))].kill()

        wait_for(lambda: len(read_lines(log)) == 8)

        slots = slots_in(log)
        assert max(later - earlier for earlier, later in pairwise(slots)) < 2 * SECOND_US
