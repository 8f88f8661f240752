"""Measures what a failover loses, with and without a wait for replicas.

Runs a primary, two replicas and three sentinels, enqueues from eight threads, and has the primary
replaced again and again: by ``SENTINEL FAILOVER``, and by kill -9. Then it looks for each job that
was accepted on the new primary.

    python benchmarks/failover.py --rounds 3
"""

import argparse
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from redis import RedisError

sys.path.insert(0, str(Path(__file__).parents[1]))

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.job.queue import JobQueue
from spigot.jobs.job.state import JobState
from spigot.jobs.store.replica_wait import ReplicaWait
from spigot.jobs.types.job_catalog import JobCatalog
from spigot.runtime.server.redis_connection import connect
from spigot.runtime.server.sentinel_primary import SentinelPrimary
from tests.support.sentinel_stack import SentinelStack, sentinel_stack

APP = "tests.support.outcome_app"
THREADS = 8
PAUSE_SECONDS = 0.02
BEFORE_SECONDS, AFTER_SECONDS = 2.0, 3.0

MIN_REPLICAS = "min-replicas-to-write 1\nmin-replicas-max-lag 1\n"
WAYS = {
    "no wait": (None, ""),
    "wait for 1": (ReplicaWait(1, 1.0), ""),
    "wait for 2": (ReplicaWait(2, 1.0), ""),
    "min-replicas 1": (None, MIN_REPLICAS),
}


@dataclass
class Load:
    """What the threads did."""

    queue: JobQueue
    accepted: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """Enqueue until told to end."""
        while not self.ended.wait(PAUSE_SECONDS):
            began = time.monotonic()
            try:
                job = self.queue.enqueue("echo", {"text": "a"})
            except RedisError:
                self.refused.append(time.monotonic())
                continue
            assert isinstance(job, JobState), job
            self.seconds.append(time.monotonic() - began)
            self.accepted.append(job.id)


def replace_primary(stack: SentinelStack, wait: ReplicaWait | None, planned: bool) -> Load:
    """Put load on the stack, replace its primary, and return what was done."""
    redis = connect(stack.url, timeout=3)
    configs = {"default": BucketConfig(rate="10/s", capacity=100_000)}
    load = Load(JobQueue(redis, JobCatalog.load([APP]), configs, keep_seconds=600, wait=wait))
    primary: SentinelPrimary = redis.connection_pool.make_connection().primary  # type: ignore[attr-defined]
    threads = [threading.Thread(target=load.run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    time.sleep(BEFORE_SECONDS)
    old = stack.primary
    if planned:
        stack.fail_over()
    else:
        old.kill()
    until = time.monotonic() + 20
    switched = None
    while time.monotonic() < until and (switched is None or time.monotonic() < switched):
        primary.look()  # as web and workers do, twice a second
        if switched is None and stack.primary_port() not in (None, old.port):
            switched = time.monotonic() + AFTER_SECONDS
        time.sleep(0.5)
    load.ended.set()
    for thread in threads:
        thread.join()
    redis.close()
    return load


def main() -> None:
    """Print one line for each way and each kind of end."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print(f"{'':16}{'end':10}{'accepted':>9}{'lost':>6}{'refused for':>13}{'median':>9}{'p99':>9}")
    for name, (wait, options) in WAYS.items():
        with sentinel_stack(options=options) as stack:
            for planned in (True, False):
                loads, lost, gone = [], 0, 0.0
                for _ in range(rounds):
                    load = replace_primary(stack, wait, planned)
                    stack.heal()
                    client = stack.primary.client
                    lost += sum(not client.exists(f"rq:job:{job}") for job in load.accepted)
                    gone = max(gone, max(load.refused, default=0) - min(load.refused, default=0))
                    client.flushall()
                    loads.append(load)
                seconds = sorted(one for load in loads for one in load.seconds)
                accepted = sum(len(load.accepted) for load in loads)
                median, p99 = statistics.median(seconds), seconds[len(seconds) * 99 // 100]
                print(
                    f"{name:16}{'planned' if planned else 'kill -9':10}{accepted:9}{lost:6}"
                    f"{gone:11.1f} s{median * 1000:6.1f} ms{p99 * 1000:6.1f} ms",
                    flush=True,
                )


if __name__ == "__main__":
    main()
