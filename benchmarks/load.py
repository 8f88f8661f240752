"""Load on the examples: many clients, then many more, then one that abuses the service.

    python benchmarks/load.py                  # three minutes and a half; writes docs/load.json
    .locust/bin/python benchmarks/plot_load.py # draws docs/load.svg from it

Each phase runs its own ``spigot up`` on an empty data folder. Locust, and what draws the plot, are
installed into an environment of their own (``.locust``).
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import quantiles
from typing import Any

ROOT = Path(__file__).parents[1]
LOCUSTFILE = ROOT / "benchmarks" / "locustfile.py"
ENVIRONMENT = ROOT / ".locust"
PACKAGES = ("locust==2.47.0", "matplotlib>=3.10,<4")
PHASES = {
    # name: (clients, user classes of the locustfile)
    "30 clients": (30, ["Client"]),
    "200 clients": (200, ["Client"]),
    "200 clients and an abuser": (200, ["Client", "Abuser"]),
}
ABUSER_CONNECTIONS = 4
RAMP_PER_SECOND = 50

Answer = tuple[float, str, int, float]
"""Unix time of the request, who asked for what, status, milliseconds until the answer."""


def main() -> None:
    """Run the phases, print a table and write what the plot needs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=int, default=60, help="of each phase")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "load.json")
    options = parser.parse_args()
    locust = locust_program()
    phases = []
    for name, (clients, classes) in PHASES.items():
        with tempfile.TemporaryDirectory(prefix="load-") as folder:
            phases.append(run_phase(name, clients, classes, options.seconds, locust, Path(folder)))
            print_phase(phases[-1])
    options.output.write_text(json.dumps({"phases": phases}, indent=1) + "\n")


def locust_program() -> Path:
    """Install locust, unless it is there; return the program."""
    program = ENVIRONMENT / "bin" / "locust"
    if not program.exists():
        venv.create(ENVIRONMENT, with_pip=True)
        subprocess.run(
            [ENVIRONMENT / "bin" / "python", "-m", "pip", "install", "--quiet", *PACKAGES],
            check=True,
        )
    return program


def run_phase(
    name: str, clients: int, classes: list[str], seconds: int, locust: Path, folder: Path
) -> dict[str, Any]:
    """Put load on a stack of its own; return what was answered and what left the buckets."""
    record = folder / "requests.jsonl"
    users = clients + ABUSER_CONNECTIONS * ("Abuser" in classes)
    with spigot_up(folder) as url:
        command: list[str | Path] = [locust, "-f", LOCUSTFILE, "--host", url, "--headless"]
        command += ["--users", str(users), "--spawn-rate", str(RAMP_PER_SECOND)]
        command += ["--run-time", f"{seconds}s", "--only-summary", *classes]
        environment = {**os.environ, "LOAD_RECORD": str(record)}
        subprocess.run(command, check=True, env=environment, cwd=folder)
    answers: list[Answer] = [tuple(json.loads(line)) for line in record.open()]
    log = [json.loads(line) for line in (folder / "results.jsonl").open()]
    return {"name": name, **summary(answers, log, seconds)}


@contextmanager
def spigot_up(folder: Path) -> Iterator[str]:
    """Run the whole of Spigot with its data in ``folder``; yield its address."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        port = found.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    environment = {name: value for name, value in os.environ.items() if name != "REDIS_URL"}
    environment |= {"SPIGOT_DATA_DIR": str(folder), "SPIGOT_TRUSTED_PROXIES": "127.0.0.1/32"}
    command = [sys.executable, "-m", "spigot", "up", "--port", str(port)]
    with (folder / "up.log").open("w") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        wait_until_ready(url, process)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def wait_until_ready(url: str, process: subprocess.Popen[bytes]) -> None:
    """Return once requests are served."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/readyz", timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("spigot up did not start")


def summary(answers: list[Answer], log: list[dict[str, Any]], seconds: int) -> dict[str, Any]:
    """Count answers by status, their milliseconds, and leaks, in all and second by second."""
    began = min(time for time, *_ in answers)
    names = sorted({name for _, name, *_ in answers})
    slots = {
        bucket: sorted(line["slot_at"] for line in log if line["bucket"] == bucket)
        for bucket in sorted({line["bucket"] for line in log})
    }
    return {
        "answers": {name: answers_to(name, answers, began, seconds) for name in names},
        "leaks": {bucket: leaks(times, began, seconds) for bucket, times in slots.items()},
    }


def answers_to(name: str, answers: Iterable[Answer], began: float, seconds: int) -> dict[str, Any]:
    """Return how one kind of request was answered."""
    mine = [answer for answer in answers if answer[1] == name]
    times = quantiles([ms for *_, ms in mine], n=100, method="inclusive")
    return {
        "by_status": dict(sorted(Counter(status for _, _, status, _ in mine).items())),
        "ms": {"p50": times[49], "p95": times[94], "p99": times[98]},
        "max_ms": max(ms for *_, ms in mine),
        "per_second": {
            status: per_second([at for at, _, each, _ in mine if each == status], began, seconds)
            for status in sorted({status for _, _, status, _ in mine})
        },
    }


def leaks(slots: list[float], began: float, seconds: int) -> dict[str, Any]:
    """Return how the jobs of one bucket left it while the load lasted."""
    seen = [slot for slot in slots if began <= slot < began + seconds]
    gaps = [after - before for before, after in pairwise(seen)]
    return {
        "count": len(seen),
        "rate": (len(seen) - 1) / (seen[-1] - seen[0]),
        "smallest_gap": min(gaps),
        "largest_gap": max(gaps),
        "per_second": per_second(seen, began, seconds),
    }


def per_second(times: Iterable[float], began: float, seconds: int) -> list[int]:
    """Count times by the second of the phase in which they lie."""
    counts = Counter(int(time - began) for time in times)
    return [counts[second] for second in range(seconds)]


def print_phase(phase: dict[str, Any]) -> None:
    """Print a phase as rows of a table."""
    for name, answers in phase["answers"].items():
        ms = answers["ms"]
        print(
            f"| {phase['name']} | {name} | {answers['by_status']} | "
            f"{ms['p50']:.0f} / {ms['p95']:.0f} / {ms['p99']:.0f} / {answers['max_ms']:.0f} |"
        )
    for bucket, left in phase["leaks"].items():
        print(
            f"| {phase['name']} | bucket {bucket} | {left['count']} leaks, {left['rate']:.4g}/s | "
            f"{left['smallest_gap'] * 1000:.3f} ms to {left['largest_gap'] * 1000:.3f} ms |"
        )


if __name__ == "__main__":
    main()
