"""The worker processes end when they are told to, whatever its workers do."""

import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.support.processes import descendants, is_alive, run_script, wait_for

POOL = r"""
import os, signal, sys, time
from spigot.worker import worker_processes

def end(bucket):
    raise SystemExit("it cannot work")

def be_deaf(bucket):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(os.getpid(), flush=True)
    while True:
        time.sleep(600)

def be_busy(bucket):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    print(os.getpid(), flush=True)
    time.sleep(600)

def be_good(bucket):
    print(os.getpid(), flush=True)
    time.sleep(600)

work, grace_seconds, give_back_seconds = sys.argv[1:]
worker_processes.GIVE_BACK_SECONDS = float(give_back_seconds)
workers = worker_processes.WorkerProcesses(
    ["mail"], {"end": end, "be_deaf": be_deaf, "be_busy": be_busy, "be_good": be_good}[work],
    restart=True, grace_seconds=float(grace_seconds),
)
sys.exit(0 if workers.run() else 1)
"""
"""A pool with one worker, which ends at once, ignores SIGTERM, heeds it, or has no handler."""


def test_a_pool_whose_worker_waits_for_its_restart_ends_at_once():
    with run_script(POOL, "end", 600, 600) as pool:
        wait_for_line(pool.stderr, "restarted in 2 s")
        pool.terminate()

        assert pool.wait(5) == 0


def test_a_worker_that_ends_at_the_signal_before_it_has_a_handler_has_not_failed():
    with run_script(POOL, "be_good", 600, 600) as pool:
        pool.stdout.readline()
        pool.terminate()

        assert pool.wait(5) == 0


@pytest.mark.parametrize("work", ["be_deaf", "be_busy"])
def test_a_worker_that_does_not_stop_in_time_is_killed(work):
    with run_script(POOL, work, 0.2, 0.3) as pool:
        worker = int(pool.stdout.readline())
        if work == "be_busy":
            let_stand_still(worker)
        told_at = time.monotonic()
        pool.terminate()

        assert pool.wait(10) == 1
        assert time.monotonic() - told_at > 0.5
        assert not is_alive(worker)
        assert re.search(
            rf"worker process {worker} of bucket mail did not stop in time", pool.stderr.read()
        )


@pytest.mark.parametrize("work", [pytest.param("be_deaf", marks=pytest.mark.slow), "be_busy"])
def test_a_second_signal_leaves_a_worker_a_second(work):
    with run_script(POOL, work, 600, 600) as pool:
        worker = int(pool.stdout.readline())
        if work == "be_busy":
            let_stand_still(worker)
        pool.terminate()
        pool.terminate()  # that of the same stop
        time.sleep(1.2)
        assert is_alive(worker)
        pool.terminate()

        assert pool.wait(5) == 1
        assert not is_alive(worker)


@pytest.mark.slow
def test_a_real_worker_that_stands_still_is_killed_and_its_job_runs_again(fleet, redis):
    fleet.settings |= {"SPIGOT_LEASE_SECONDS": "1", "SPIGOT_GRACE_SECONDS": "600"}
    job = fleet.queue(redis).enqueue("nap", {"seconds": 2})
    with fleet.workers() as pool:
        wait_for(lambda: fleet.notes("nap"))
        (worker,) = children_of(pool.pid)
        horses = descendants(worker)
        let_stand_still(worker)
        pool.terminate()
        time.sleep(1.2)
        pool.terminate()

        assert pool.wait(5) == 1
        assert not any(map(is_alive, [worker, *horses]))

    with fleet.workers():
        wait_for(lambda: [line["status"] for line in fleet.lines_of(job.id)][-1:] == ["finished"])


def let_stand_still(pid):
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: Path(f"/proc/{pid}/stat").read_text().split()[2] == "T")


def children_of(pid):
    return {child for child in descendants(pid) if parent_of(child) == pid}


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


def wait_for_line(pipe, words):
    while words not in (line := pipe.readline()):
        assert line, f"it ended without {words!r}"
