"""What a started job costs the server: no more in a large fleet than in a small one."""

import threading
import time
from unittest.mock import Mock

import pytest

from spigot.jobs.store import keys
from spigot.runtime.stop_signals import StopSignals
from spigot.worker.leases.lease_answers import Reaped, Renewed
from spigot.worker.leases.lease_renewer import IDLE_SECONDS, LeaseRenewer
from spigot.worker.process.redis_availability import RedisAvailability
from tests.support.consistency import read_lines
from tests.support.processes import wait_for
from tests.support.round_trips import commands_done, commands_sent_within

JOBS = 40
RUNS = 2
"""A machine that others keep busy makes workers late, and late ones ask once more."""

IDLE, WATCHED_SECONDS = 6, 16


@pytest.fixture
def numbers():
    return {"rate": "10/s", "capacity": 1000}


@pytest.fixture
def commands_per_job(redis, job_queue, start_worker, tmp_path):
    """Return a function that measures what so many workers, all but two idle, cost a job."""
    log = tmp_path / "results.jsonl"

    def measure(workers: int) -> float:
        fleet = [start_worker(simple=True, lease_seconds=15) for _ in range(workers)]
        wait_for(lambda: redis.zcard(keys.workers("default")) == workers, 60)
        costs = []
        for _ in range(RUNS):
            before, lines = commands_done(redis), len(read_lines(log))
            for number in range(JOBS):
                job_queue.enqueue("echo", {"value": number})
            wait_for(lambda lines=lines: len(read_lines(log)) == lines + JOBS, 60)
            costs.append((commands_done(redis) - before) / JOBS)
        for worker in fleet:
            worker.kill()
        redis.delete(keys.workers("default"), keys.pollers("default"))
        return min(costs)

    return measure


@pytest.mark.slow
@pytest.mark.alone
@pytest.mark.timeout(240)
def test_does_not_grow_with_idle_workers(commands_per_job):
    few, many = commands_per_job(2 + 2), commands_per_job(64 + 2)

    assert many == pytest.approx(few, rel=0.1)


@pytest.fixture
def idle_workers(redis, start_worker):
    """Six, of which two look at the bucket."""
    for _ in range(IDLE):
        start_worker(simple=True, lease_seconds=15)

    def are_idle() -> bool:
        waiting = [client["cmd"] for client in redis.client_list() if "b" in client["flags"]]
        return waiting.count("blpop") == IDLE and redis.zcard(keys.pollers("default")) == 2

    wait_for(are_idle, 60)


@pytest.mark.slow
@pytest.mark.alone
def test_idle_workers_ask_once_a_second_and_each_of_them_every_five(redis, idle_workers):
    sent = commands_sent_within(redis, WATCHED_SECONDS)

    assert 0 < sent <= WATCHED_SECONDS * (1 + IDLE / 5)


class CountedLeases:
    """Stands for the server's side of ``LeaseStore``."""

    terms = Mock(tick_seconds=IDLE_SECONDS * 1.2)

    def __init__(self) -> None:
        self.ticks = 0

    def renew(self, tokens, rq_ttl):
        return Renewed(set(), set())

    def reap(self):
        self.ticks += 1
        return Reaped({}, [], 0)


class NoLostJobs:
    def look(self):
        return None


class TestLeaseRenewer:
    @pytest.fixture
    def leases(self):
        return CountedLeases()

    @pytest.fixture
    def renewer(self, leases):
        stop = StopSignals(on_second=lambda: None)
        renewer = LeaseRenewer(
            leases,
            NoLostJobs(),
            RedisAvailability(stop),
            lease_seconds=60,
            rq_ttl=60,
            on_reaped=lambda found: None,
        )
        renewer.start()
        return renewer

    def test_asks_nothing_once_the_worker_is_idle(self, renewer, leases):
        renewer.keep("token")
        renewer.release("token")

        threading.Event().wait(2 * leases.terms.tick_seconds)
        assert leases.ticks == 0

        renewer.keep("token")
        wait_for(lambda: leases.ticks)
        renewer.release("token")

    def test_reaps_though_no_job_runs_long(self, renewer, leases):
        def run_a_short_job() -> bool:
            renewer.keep("token")
            time.sleep(0.01)
            renewer.release("token")
            return leases.ticks > 1

        wait_for(run_a_short_job)
