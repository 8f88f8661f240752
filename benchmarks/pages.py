"""What the admin's pages cost: time of the web process, bytes, and both again with many jobs.

    python benchmarks/pages.py          # a few minutes

Each page is asked for through the application, without a socket, on a private server. The 20
buckets of the overview are the dearest to draw: no two of their teeth are alike, half of them are
held, paused or full, and all have changed. A page's bytes are its own and those of its files.
"""

import json
import random
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flask.testing import FlaskClient
from laboratory import private_server
from redis import Redis

from spigot import create_app
from spigot.jobs.store import keys
from spigot.runtime.settings import load_settings

CELLS, CELL_SECONDS = 360, 5
ROUNDS = 60
BUCKETS = 20
NUMBERS = (50, 200_000)
ADMIN = ("admin", "secret")
HTML = {"Accept": "text/html"}
PAGES = {
    "overview": "/",
    "a bucket": "/buckets/bucket_00",
    "a waiting job": f"/jobs/{0:032x}",
    "jobs that wait": "/jobs?status=queued",
    "jobs that failed": "/jobs?status=failed",
    "a search": "/jobs?q=nowhere",
    "failures": "/failures",
}


@contextmanager
def web(folder: Path) -> Iterator[tuple[FlaskClient, Redis]]:
    """Yield a client of an application with its buckets, and its server."""
    buckets = {f"bucket_{n:02}": {"rate": f"{n + 1}/s", "capacity": 10**6} for n in range(BUCKETS)}
    (folder / "buckets.json").write_text(json.dumps(buckets))
    (folder / "rate_limits.json").write_text("{}")
    with private_server(folder) as url, Redis.from_url(url) as redis:
        settings: dict[str, Any] = {
            "redis_url": url,
            "apps": ("spigot.examples.documents",),
            "buckets": folder / "buckets.json",
            "rate_limits": folder / "rate_limits.json",
            "admin_password": ADMIN[1],
        }
        yield create_app(load_settings(**settings)).test_client(), redis


def make_up_the_past(redis: Redis) -> None:
    """Write 30 uneven minutes of each bucket, and hold or pause some."""
    chance = random.Random(7)
    last = int(time.time()) // CELL_SECONDS
    for n in range(BUCKETS):
        name = f"bucket_{n:02}"
        for number in range(last - CELLS + 1, last):
            cell = (number, chance.randrange(5 * n + 5), chance.randrange(60), 10**6 // (n + 1), 0)
            text = "{:9d}{:7d}{:8d}{:12d}{:11d}".format(*cell)
            redis.setrange(f"{keys.bucket(name)}:history", number % CELLS * len(text), text)
        if n % 4 == 1:
            redis.hset(keys.bucket(name), mapping={"paused": 1})
        if n % 4 == 2:
            held = {"held_until_us": (last + 60) * 5_000_000, "hold_reason": "RateLimited: wait"}
            redis.hset(keys.bucket(name), mapping=held)


def fill(redis: Redis, jobs: int) -> None:
    """Let so many jobs wait in the first bucket in all, and as many be failed."""
    for start in range(redis.llen(keys.queue("bucket_00")), jobs, 1000):
        with redis.pipeline(transaction=False) as pipeline:
            for number in range(start, min(jobs, start + 1000)):
                waiting, failed = f"{number:032x}", f"f{number:031x}"
                fields = {"data": "x", "origin": "bucket_00", "spigot_type": "document"}
                times = {"spigot_enqueued_us": 1, "spigot_place": number}
                pipeline.hset(keys.job(waiting), mapping={"status": "queued", **fields, **times})
                pipeline.rpush(keys.queue("bucket_00"), waiting)
                pipeline.hset(keys.job(failed), mapping={"status": "failed", **fields})
                pipeline.zadd(keys.failed("bucket_00"), {failed: time.time() + 86400})
            pipeline.execute()


def files_of(client: FlaskClient, page: str) -> list[str]:
    """Return the addresses of the files that a page loads, and of those that they import."""
    found = re.findall(r'(?:rel="(?:icon|stylesheet)" href|src)="(/static/[^"]+)"', page)
    for address in found:
        if address.endswith(".js"):
            imported = re.findall(r'from "\./([\w.]+)"', client.get(address).text)
            found += [f"/static/{name}" for name in imported if f"/static/{name}" not in found]
    return found


def cost(client: FlaskClient, path: str) -> tuple[float, float, int]:
    """Return the median ms on the clock and of the processor, and the bytes of a page."""
    clocks, processors = [], []
    for _ in range(ROUNDS):
        began, used = time.perf_counter(), time.process_time()
        answer = client.get(path, auth=ADMIN, headers=HTML)
        clocks.append(time.perf_counter() - began)
        processors.append(time.process_time() - used)
    assert answer.status_code == 200, answer.text
    size = len(answer.data) + sum(
        len(client.get(file).data) for file in files_of(client, answer.text)
    )
    return 1000 * statistics.median(clocks), 1000 * statistics.median(processors), size


def main() -> None:
    """Print a table."""
    print("| page | jobs that wait, and that failed | ms | of the processor | KB |")
    print("| --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder, web(Path(folder)) as (client, redis):
        client.get("/buckets")  # publishes them
        make_up_the_past(redis)
        for jobs in NUMBERS:
            fill(redis, jobs)
            for page, path in PAGES.items():
                clock, processor, size = cost(client, path)
                print(f"| {page} | {jobs:,} | {clock:.1f} | {processor:.1f} | {size / 1000:.0f} |")


if __name__ == "__main__":
    main()
