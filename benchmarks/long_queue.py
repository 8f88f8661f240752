"""What it costs the server to look at and to cancel a waiting job, with few and many before it.

    python benchmarks/long_queue.py          # about a minute

Figures are processor time of the server for each call, with the floor of an empty script taken
off, on a private server; a step of a purge is one script.
"""

import argparse
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from laboratory import private_server
from redis import Redis

from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.control import BucketControl
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.job.cancelling import JobCanceller
from spigot.jobs.job.state import JobReader
from spigot.jobs.store import keys
from spigot.runtime.rate import Rate

CALLS = 200
LENGTHS = (10, 10_000, 200_000)
HEADER = """\
| jobs before it | look (us) | cancel (us) | look, half cancelled (us) | a step of a purge (ms) |
| --- | --- | --- | --- | --- |"""


def fill(redis: Redis, jobs: int) -> list[str]:
    """Let so many jobs wait, as ``enqueue.lua`` would leave them."""
    redis.flushall()
    BucketPublisher(redis).publish(
        {"default": BucketConfig(rate=Rate.parse("1/h"), capacity=10**6)}
    )
    ids = [f"{number:032x}" for number in range(jobs)]
    for start in range(0, jobs, 1000):
        with redis.pipeline(transaction=False) as pipeline:
            for number, job_id in enumerate(ids[start : start + 1000], start):
                fields = {"data": "x", "status": "queued", "origin": "default"}
                times = {"spigot_enqueued_us": 1, "spigot_type": "work", "spigot_place": number}
                pipeline.hset(keys.job(job_id), mapping=fields | times)
            pipeline.rpush(keys.queue("default"), *ids[start : start + 1000])
            pipeline.execute()
    return ids


def processor_us(redis: Redis) -> float:
    """Return the server's processor time so far."""
    cpu = redis.info("cpu")
    return float(cpu["used_cpu_user"] + cpu["used_cpu_sys"]) * 1e6


def cost_us(redis: Redis, call: Callable[[str], object], ids: Sequence[str]) -> float:
    """Return what one call takes of the server's processor, less an empty script's share."""
    empty = redis.register_script("return 1")
    floors = []
    for function in (lambda _: empty(), call):
        before = processor_us(redis)
        for job_id in ids:
            function(job_id)
        floors.append((processor_us(redis) - before) / len(ids))
    return floors[1] - floors[0]


def purge_step_ms(redis: Redis) -> float:
    """Purge the bucket, and return how long a step of it keeps the server's processor."""
    redis.config_resetstat()
    before = processor_us(redis)
    BucketControl(redis, "benchmark").purge("default", keep_seconds=60)
    steps = redis.info("commandstats")["cmdstat_evalsha"]["calls"]
    return (processor_us(redis) - before) / steps / 1000


def measure(redis: Redis, jobs: int) -> None:
    """Print the row of one length."""
    reader, canceller = JobReader(redis), JobCanceller(redis, keep_seconds=60)
    around = 2 * CALLS + 80  # those that are looked at lie beyond the jobs before
    ids = fill(redis, jobs + around)
    looked = ids[jobs : jobs + CALLS]
    for job_id in looked[:2]:
        reader.read(job_id)
    look = cost_us(redis, reader.read, looked)
    canceller.cancel(ids[jobs + CALLS])
    cancel = cost_us(redis, canceller.cancel, ids[jobs + CALLS + 1 : jobs + 2 * CALLS])
    for job_id in random.sample(ids[:jobs], jobs // 2):
        canceller.cancel(job_id)
    look_again = cost_us(redis, reader.read, looked)
    purge_ms = purge_step_ms(redis)
    print(f"| {jobs} | {look:.0f} | {cancel:.0f} | {look_again:.0f} | {purge_ms:.1f} |", flush=True)


def main() -> None:
    """Print one row for each length."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", type=int, nargs="+", default=LENGTHS)
    lengths = parser.parse_args().lengths
    print(HEADER)
    with (
        tempfile.TemporaryDirectory() as folder,
        private_server(Path(folder)) as url,
        Redis.from_url(url) as redis,
    ):
        for jobs in lengths:
            measure(redis, jobs)


if __name__ == "__main__":
    main()
