"""What the search for lost jobs costs the server, and how long a round is.

    python benchmarks/lost_jobs.py          # about a minute

Half of the jobs wait in one queue, the others have ended, and a hundred are in no place.
Figures are the server's own, on a private server.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from laboratory import private_server
from long_queue import fill
from redis import Redis

from spigot.jobs.store import keys
from spigot.worker.leases.lease_answers import Reaped
from spigot.worker.leases.lease_terms import LeaseTerms
from spigot.worker.leases.lost_jobs import PAUSE_SECONDS, SLICES, LostJobs

TERMS = LeaseTerms(lease_ms=15_000, max_reaps=3, keep_seconds=600)
LOST = 100


def prepare(redis: Redis, jobs: int) -> None:
    """Let half of the jobs wait and the others have ended, but for some that are in no place."""
    ids = fill(redis, jobs)
    redis.ltrim(keys.queue("default"), 0, jobs // 2 - 1)
    with redis.pipeline(transaction=False) as pipeline:
        for job_id in ids[jobs // 2 + LOST :]:
            pipeline.hset(keys.job(job_id), "status", "finished")
        pipeline.execute()


def spent_us(redis: Redis) -> int:
    """Return how long scripts have kept the server so far."""
    return int(redis.info("commandstats").get("cmdstat_evalsha", {}).get("usec", 0))


def search(redis: Redis) -> tuple[list[int], int]:
    """Finish a round; return how long each slice took, in us, and how many came back."""
    lost_jobs, found = LostJobs(redis, "worker", TERMS), Reaped({}, [], 0)
    lost_jobs.look_at_slice(found, now_us=1)  # the script is loaded
    redis.delete(keys.sweep())
    seconds, microseconds = redis.time()
    now_us, pause = seconds * 10**6 + microseconds, 0.0
    slices, before_us = [], spent_us(redis)
    while pause < 60:
        pause = lost_jobs.look_at_slice(found, now_us=now_us)
        now_us += round(pause * 1e6)
        slices.append((after_us := spent_us(redis)) - before_us)
        before_us = after_us
    return slices, len(found.brought_back)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100_000)
    jobs = parser.parse_args().jobs
    with (
        tempfile.TemporaryDirectory() as folder,
        private_server(Path(folder)) as url,
        Redis.from_url(url) as redis,
    ):
        prepare(redis, jobs)
        slices, found = search(redis)
    slices.sort()
    looks = len(slices) / SLICES
    print(f"{found} of {LOST} lost jobs were brought back, of {jobs}")
    print(f"{len(slices)} slices: median {statistics.median(slices)} us, ", end="")
    print(f"99 % below {slices[int(len(slices) * 0.99)]} us, the longest {slices[-1]} us")
    print(f"a round takes {looks * max(PAUSE_SECONDS, 1.5) / 60:.1f} min at a look each 1.5 s")


if __name__ == "__main__":
    main()
