"""What the door adds to a request: against no door, flask-limiter and the bare round trip.

    python benchmarks/door.py
    python benchmarks/door.py --flask-limiter   # installs it into an environment of its own

All subjects take turns on one private server, so that whatever else the machine does hits all of
them alike. The server has a core of its own, as on a machine of its own: where the scheduler puts
it otherwise, beside the subject or not, makes more of a difference than what is measured. The app
is called without a web server in front, so that nothing else is measured.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from laboratory import private_server, python_environment

ROUNDS = 30
SUBJECTS = Path(__file__).with_name("door_subjects.py")


class Subject:
    """One of the processes that are measured."""

    def __init__(self, stack: ExitStack, python: str | Path, name: str, url: str) -> None:
        command = [python, SUBJECTS, name, url]
        pipe = subprocess.PIPE
        self._process = stack.enter_context(
            subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)
        )

    def measure(self, requests: int) -> list[float]:
        """Return the microseconds of so many requests."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(requests, file=self._process.stdin, flush=True)
        times: list[float] = json.loads(self._process.stdout.readline())
        return times


def main() -> None:
    """Measure, and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--requests", type=int, default=6000, help="per subject")
    parser.add_argument("--flask-limiter", action="store_true", help="compare with it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="door-") as folder, ExitStack() as stack:
        url = stack.enter_context(private_server(Path(folder), own_core=True))
        pythons = dict.fromkeys(
            ["no door", "script alone", "by redis-py", "door"], Path(sys.executable)
        )
        if options.flask_limiter:
            pythons["flask-limiter"] = python_environment(
                Path(folder) / "venv", "flask-limiter", "redis[hiredis]"
            )
        subjects = {name: Subject(stack, python, name, url) for name, python in pythons.items()}
        report(measure(subjects, options.requests // ROUNDS))


def measure(subjects: dict[str, Subject], requests: int) -> dict[str, float]:
    """Let the subjects take turns; return the median microseconds of each."""
    times: dict[str, list[float]] = {name: [] for name in subjects}
    for subject in subjects.values():
        subject.measure(requests)  # connects, compiles, warms up
    for _ in range(ROUNDS):
        for name, subject in subjects.items():
            times[name] += subject.measure(requests)
    return {name: median(found) for name, found in times.items()}


def report(medians: dict[str, float]) -> None:
    """Print what was measured."""
    for name, us in medians.items():
        print(f"{name:14} {us:7.0f} us")
    added = medians["door"] - medians["no door"]
    print(f"the door adds {added:.0f} us: {added / medians['script alone']:.2f} x the script alone")
    print(f"redis-py takes {medians['by redis-py'] / medians['script alone']:.2f} x for the script")
    if "flask-limiter" in medians:
        theirs = medians["flask-limiter"] - medians["no door"]
        print(f"flask-limiter adds {theirs:.0f} us: the door adds {added / theirs:.2f} of that")


if __name__ == "__main__":
    main()
