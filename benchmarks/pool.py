"""What a pool takes: memory for jobs that wait, short jobs a second, and how exact its slots are.

    python benchmarks/pool.py
    python benchmarks/pool.py --memory    # the first table only

Memory is PSS (Linux) of the worker and its child, without the command that forked them: what
processes share is counted once over all of them. Each job waits for an answer of a local server,
plain functions by urllib, coroutines by a stream of asyncio; and coroutines by httpx, with one
client for all and with a client for each. A pool of as many places is measured idle first; the
processor time is that of worker and child until all jobs wait. Then pools run no-op jobs at a rate
that they cannot reach, in 300 places, and at given rates in 100; and one does so beside jobs that
wait, of which one may compute.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from laboratory import private_server, processes
from redis import Redis
from slow_server import slow_server
from worker_memory import below, pss_of, wait_for

APP = """
import asyncio
import urllib.request

from spigot import job_type


@job_type("fetch")
def fetch(port: int) -> int:
    return len(urllib.request.urlopen(f"http://127.0.0.1:{port}/").read())


@job_type("fetch_async")
async def fetch_async(port: int) -> int:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.0\\r\\n\\r\\n")
    text = await reader.read()
    writer.close()
    return len(text)


@job_type("spin", timeout=600)
def spin() -> None:
    while True:
        pass


@job_type("noop")
def noop() -> None:
    pass


@job_type("noop_async")
async def noop_async() -> None:
    pass
"""
HTTPX_APP = """
from functools import cache

import httpcore  # which httpx would load with the first client, and so in the child
import httpx

from spigot import job_type


@cache
def shared() -> httpx.AsyncClient:
    return httpx.AsyncClient(limits=httpx.Limits(max_connections=None), timeout=None)


@job_type("shared_client")
async def shared_client(port: int) -> int:
    return len((await shared().get(f"http://127.0.0.1:{port}/")).content)


@job_type("client_each")
async def client_each(port: int) -> int:
    async with httpx.AsyncClient(timeout=None) as client:
        return len((await client.get(f"http://127.0.0.1:{port}/")).content)
"""
ENQUEUE = "from spigot import enqueue; [enqueue({type!r}, {payload!r}) for _ in range({count})]"
WAITING = (
    (100, "fetch_async"),
    (100, "fetch"),
    (1000, "fetch_async"),
    (100, "shared_client"),
    (100, "client_each"),
    (1000, "shared_client"),
)
HTTPX = ("shared_client", "client_each")
NOOPS = 10_000
PLACES, MOST_PLACES = 100, 300
RATES = (50, 500, 1000)
POOLS = (1, 2)
BESIDE = ({"fetch": 99}, {"fetch": 98, "spin": 1})
RATE_SECONDS = 8


def main() -> None:
    """Print a table for each question."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--memory", action="store_true", help="print the first table only")
    only_memory = parser.parse_args().memory
    print("| waiting jobs | idle pool (MB) | with the jobs | more | processor, ms a job |")
    print("| --- | --- | --- | --- | --- |")
    for count, kind in WAITING:
        print(f"| {count} {kind} | {memory(count, kind)} |", flush=True)
    if only_memory:
        return
    print("\n| rate | pools | job | achieved | late p50 / p99 (ms) | processor, as below |")
    print("| --- | --- | --- | --- | --- | --- |")
    for rate in (100_000, *RATES):
        for pools in POOLS:
            for kind in ("noop", "noop_async"):
                print(f"| {rate}/s | {pools} | {kind} | {paced(rate, kind, pools)} |", flush=True)
    for beside in BESIDE:
        name = "noop beside " + ", ".join(f"{count} {kind}" for kind, count in beside.items())
        print(f"| {RATES[0]}/s | 1 | {name} | {paced(RATES[0], 'noop', 1, beside)} |", flush=True)
    print("\nProcessor: all workers / all children / server, and microseconds of all for a job.")


def memory(count: int, kind: str) -> str:
    """Return what a pool of that many places takes, idle and full, as cells of the table."""
    app = HTTPX_APP if kind in HTTPX else APP
    with laboratory(count, 100_000, app=app) as (url, folder, environment), slow_server() as slow:
        command = [sys.executable, "-m", "spigot", "worker"]
        with processes([command], environment, folder), Redis.from_url(url) as redis:
            wait_for(lambda: redis.scard("rq:workers") == 1)
            time.sleep(2)
            idle, before = sum(map(pss_of, worker_and_child())), used_by_all(redis)
            enqueue(kind, {"port": slow.port}, count, environment, folder)
            wait_for(lambda: slow.waiting == count)
            worker, child, _ = (b - a for a, b in zip(before, used_by_all(redis), strict=True))
            time.sleep(2)
            busy = sum(map(pss_of, worker_and_child()))
            each = 1000 * (worker + child) / count
            return f"{idle:.0f} | {busy:.0f} | {busy - idle:.1f} | {each:.1f}"


def paced(rate: int, kind: str, pools: int, beside: dict[str, int] | None = None) -> str:
    """Return what pools make of a backlog at a rate, as cells of the table.

    Args:
        rate: Of the bucket, per second.
        kind: Of the jobs of the backlog.
        pools: How many.
        beside: How many jobs of which kinds run meanwhile, and do not end.
    """
    count, beside = min(NOOPS, rate * RATE_SECONDS), beside or {}
    places = (MOST_PLACES if rate > max(RATES) else PLACES) + sum(beside.values())
    with laboratory(places, rate, pools) as (url, folder, environment), slow_server() as slow:
        with Redis.from_url(url) as redis:
            command = [sys.executable, "-m", "spigot", "worker"]
            with processes([command], environment, folder):
                wait_for(lambda: redis.scard("rq:workers") == pools)
                for other, number in beside.items():
                    payload = {"port": slow.port} if other == "fetch" else {}
                    enqueue(other, payload, number, environment, folder)
                leases = "spigot:1:bucket:default:leases"
                wait_for(lambda: redis.zcard(leases) == sum(beside.values()))
                redis.set("rq:suspended", 1)
                enqueue(kind, {}, count, environment, folder)
                before, earlier = used_by_all(redis), starts_by_lateness(redis)
                redis.delete("rq:suspended")
                wait_for(lambda: redis.zcard("rq:finished:default") >= count)
                after = used_by_all(redis)
            late = lateness(starts_by_lateness(redis) - earlier)
        used = [b - a for a, b in zip(before, after, strict=True)]
        return report(folder, rate, kind, late, used)


def enqueue(
    kind: str, payload: dict[str, int], count: int, environment: dict[str, str], folder: Path
) -> None:
    """Enqueue so many jobs, in a process that has the application's settings."""
    text = ENQUEUE.format(type=kind, payload=payload, count=count)
    subprocess.run(
        [sys.executable, "-c", text], env=os.environ | environment, cwd=folder, check=True
    )


def worker_and_child() -> list[int]:
    """Return the processes below that of the command."""
    return below(command_process())


def command_process() -> int:
    """Return the process of the command."""
    (command,) = (
        pid
        for pid in children_of(os.getpid())
        if b"worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    return command


def used_by_all(redis: Redis) -> list[float]:
    """Return how many seconds workers, their children and the server have run."""
    workers = children_of(command_process())
    children = [child for worker in workers for child in children_of(worker)]
    return [sum(map(processor, workers)), sum(map(processor, children)), server_processor(redis)]


def children_of(pid: int) -> list[int]:
    """Return the children of a process."""
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


def report(folder: Path, rate: int, kind: str, late: str, used: list[float]) -> str:
    """Return what the result log says of starts, and the shares of a processor."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    slots = sorted(line["slot_at"] for line in lines if line["type"] == kind)
    seconds = slots[-1] - slots[0]
    achieved = (len(slots) - 1) / seconds
    share = f" ({100 * achieved / rate:.2f} %)" if rate <= max(RATES) else ""
    least = min(b - a for a, b in pairwise(slots)) * 1000
    cells = " / ".join(f"{100 * use / seconds:.0f} %" for use in used)
    each = 1e6 * sum(used) / len(slots)
    return f"{achieved:.1f}/s{share}, least gap {least:.3f} ms | {late} | {cells}, {each:.0f} µs"


def starts_by_lateness(redis: Redis) -> Counter[float]:
    """Return how many starts were late by no more than which microseconds."""
    stats = redis.hgetall("spigot:1:bucket:default:stats")
    return Counter(
        {
            float(name.rpartition(b":")[2]): int(count)
            for name, count in stats.items()
            if name.startswith(b"late:") and not name.endswith(b"sum_us")
        }
    )


def lateness(starts: Counter[float]) -> str:
    """Return below which bounds half of the starts were late, and 99 of 100, in milliseconds."""
    bounds = sorted(starts.elements())
    return " / ".join(f"≤ {bounds[int(share * len(bounds))] / 1000:g}" for share in (0.5, 0.99))


def processor(pid: int) -> float:
    """Return how many seconds a process has run."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def server_processor(redis: Redis) -> float:
    """Return the same of the server."""
    used = redis.info("cpu")
    return float(used["used_cpu_user"]) + float(used["used_cpu_sys"])


@contextmanager
def laboratory(
    places: int, rate: int, pools: int = 1, app: str = APP
) -> Iterator[tuple[str, Path, dict[str, str]]]:
    """Yield the URL of a server, a folder with the application, and what its processes are told."""
    with tempfile.TemporaryDirectory() as text, private_server(Path(text)) as url:
        folder = Path(text)
        (folder / "waiting_app.py").write_text(app)
        numbers = {
            "rate": f"{rate}/s",
            "capacity": 100_000,
            "workers": pools,
            "concurrency": places,
        }
        (folder / "buckets.json").write_text(json.dumps({"default": numbers}))
        settings = {"REDIS_URL": url, "SPIGOT_APPS": "waiting_app", "SPIGOT_GRACE_SECONDS": "1"}
        yield url, folder, {**settings, "SPIGOT_DATA_DIR": str(folder)}


if __name__ == "__main__":
    main()
