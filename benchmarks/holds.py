"""How soon a fleet obeys a hold: what still starts after it, and how long after.

    python benchmarks/holds.py

In each round one of the jobs is refused by its downstream, and holds the bucket for half a second.
Every job notes when it starts, and where. The script prints how many started after the hold, how
long after at most, and how many in the process that had caused it (of forking workers each job has
its own).
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from laboratory import private_server, processes
from redis import Redis
from worker_memory import wait_for

RATE = 400
JOBS, REFUSED = 60, 20
HOLD_SECONDS = 0.5

APP = f"""
import os
import time

from rq import get_current_job

from spigot import RateLimited, job_type


@job_type("note")
def note(notes: str, is_refused: bool) -> None:
    is_refused = is_refused and get_current_job().claim.attempt == 1
    line = f"{{time.time()}} {{os.getpid()}} {{int(is_refused)}}\\n"
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, line.encode())
    os.close(file)
    if is_refused:
        raise RateLimited({HOLD_SECONDS})
"""
ENQUEUE = f"""
import sys

from spigot import enqueue_many

payloads = [{{"notes": sys.argv[1], "is_refused": n == {REFUSED}}} for n in range({JOBS})]
enqueue_many("note", payloads)
"""
FLEETS = {
    "two pools": ["--count", "2", "--concurrency", "20"],
    "four simple workers": ["--count", "4", "--simple"],
    "four forking workers": ["--count", "4"],
}


@dataclass(frozen=True)
class Round:
    """What started after a hold: seconds after it, and how many of them where it was caused."""

    late: list[float]
    own: int


def main() -> None:
    """Print a row for each kind of worker."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=20)
    rounds = parser.parse_args().rounds
    print(f"{os.cpu_count()} cores, {rounds} rounds of {JOBS} jobs at {RATE}/s\n")
    print("| workers | started after the hold | latest, median / worst round (ms) | own |")
    print("| --- | --- | --- | --- |")
    for name, options in FLEETS.items():
        seen = measure(options, rounds)
        latest = sorted(max(one.late, default=0.0) * 1000 for one in seen)
        started, own = sum(len(one.late) for one in seen), sum(one.own for one in seen)
        middle = latest[len(latest) // 2]
        print(f"| {name} | {started} | {middle:.1f} / {latest[-1]:.1f} | {own} |", flush=True)


def measure(options: list[str], rounds: int) -> list[Round]:
    """Let a fleet be refused again and again."""
    with tempfile.TemporaryDirectory() as text, private_server(Path(text)) as url:
        folder = Path(text)
        (folder / "holding_app.py").write_text(APP)
        numbers = {"rate": f"{RATE}/s", "capacity": 1000}
        (folder / "buckets.json").write_text(json.dumps({"default": numbers}))
        settings = {"REDIS_URL": url, "SPIGOT_APPS": "holding_app", "SPIGOT_GRACE_SECONDS": "1"}
        environment = {**settings, "SPIGOT_DATA_DIR": text, "SPIGOT_LEASE_SECONDS": "60"}
        command = [sys.executable, "-m", "spigot", "worker", *options]
        with processes([command], environment, folder), Redis.from_url(url) as redis:
            wait_for(lambda: redis.scard("rq:workers") == int(options[1]))
            return [one_round(redis, folder, environment, n) for n in range(rounds)]


def one_round(redis: Redis, folder: Path, environment: dict[str, str], number: int) -> Round:
    """Enqueue jobs of which one is refused; return what started after the hold."""
    notes = folder / f"notes-{number}"
    redis.set("rq:suspended", 1)
    command = [sys.executable, "-c", ENQUEUE, str(notes)]
    subprocess.run(command, env=os.environ | environment, cwd=folder, check=True)
    redis.delete("rq:suspended")
    finished = JOBS * (number + 1)
    wait_for(lambda: redis.zcard("rq:finished:default") >= finished)
    held_until = int(redis.hget("spigot:1:bucket:default", "held_until_us")) / 1e6
    starts = [line.split() for line in notes.read_text().splitlines()]
    (cause,) = [pid for _, pid, refused in starts if refused == "1"]
    held_at = held_until - HOLD_SECONDS
    late = [(float(at) - held_at, pid) for at, pid, _ in starts if held_at < float(at) < held_until]
    return Round([at for at, _ in late], sum(pid == cause for _, pid in late))


if __name__ == "__main__":
    main()
