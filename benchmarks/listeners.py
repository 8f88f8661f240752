"""How fast the API answers while many clients wait for jobs over server-sent events.

    python benchmarks/listeners.py

Runs the whole of Spigot, pauses a bucket, and lets clients listen to the jobs that wait in it. Each
request comes from another address, as behind a proxy, because the door would refuse so many of one.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from http.client import HTTPConnection, HTTPResponse
from ipaddress import IPv4Address
from itertools import count, cycle, islice
from pathlib import Path
from statistics import quantiles
from urllib.parse import urlsplit

from load import ROOT, spigot_up

JOB = {"id": 1, "job_priority": 2, "job_type": 2, "job_publisher": "listener", "data": "a message"}
REQUESTS = 1000

addresses = map(str, map(IPv4Address, count(int(IPv4Address("10.0.0.1")))))


def main() -> None:
    """Print a row of a table for each number of listeners."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listeners", type=int, nargs="+", default=[0, 300])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="listeners-") as folder, spigot_up(Path(folder)) as url:
        server = urlsplit(url).netloc
        pause_bucket(folder)
        jobs = [enqueue(server) for _ in range(100)]
        for number in options.listeners:
            with ExitStack() as stack:
                for job in islice(cycle(jobs), number):
                    stack.enter_context(listen(server, job))
                times = quantiles(milliseconds(server, jobs), n=100, method="inclusive")
            print(f"| {number} | {times[49]:.1f} ms | {times[98]:.1f} ms |")


def pause_bucket(data: str) -> None:
    """Keep what is enqueued from now on waiting."""
    command = [sys.executable, "-m", "spigot", "bucket", "pause", "default"]
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    environment["SPIGOT_DATA_DIR"] = data
    subprocess.run(command, check=True, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)


def enqueue(server: str) -> str:
    """Enqueue a job; return its id."""
    connection = HTTPConnection(server)
    headers = {"Content-Type": "application/json", "X-Forwarded-For": next(addresses)}
    connection.request("POST", "/enqueue", json.dumps(JOB), headers)
    job_id: str = json.loads(connection.getresponse().read())["id"]
    connection.close()
    return job_id


def listen(server: str, job: str) -> HTTPResponse:
    """Open a stream of events, and wait for the first."""
    connection = HTTPConnection(server)
    connection.request("GET", f"/jobs/{job}/events", headers={"X-Forwarded-For": next(addresses)})
    stream = connection.getresponse()
    assert stream.status == 200, stream.status
    while not stream.readline().startswith(b"data:"):
        pass
    return stream


def milliseconds(server: str, jobs: list[str]) -> list[float]:
    """Return how long each of many requests took, one after the other."""
    connection = HTTPConnection(server)
    times = []
    for job in islice(cycle(jobs), REQUESTS):
        began = time.perf_counter()
        connection.request("GET", f"/jobs/{job}", headers={"X-Forwarded-For": next(addresses)})
        answer = connection.getresponse()
        assert answer.status == 200, answer.status
        answer.read()
        times.append((time.perf_counter() - began) * 1000)
    connection.close()
    return times


if __name__ == "__main__":
    main()
