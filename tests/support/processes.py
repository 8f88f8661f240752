"""What the tests of processes share: scripts that start children, and whether a process lives."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .warm_python import WarmProcess, warm_python


def is_alive(pid: int) -> bool:
    """A zombie is dead: nobody may have waited for it yet."""
    return state_of(pid) not in "ZX"


def state_of(pid: int) -> str:
    """Return the kernel's letter for the state of a process; X for one that is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return "X"
    return stat.rpartition(")")[2].split()[0]


def wait_for(condition: Callable[[], object], seconds: float = 20, *, pause: float = 0.01) -> None:
    """Return once ``condition`` holds, fail if it does not within ``seconds``.

    Args:
        condition: Looked at again and again.
        seconds: How long.
        pause: Seconds between two looks; longer where many wait at a time.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(pause)


@contextmanager
def run_script(script: str, *arguments: object) -> Iterator[WarmProcess]:
    """Run a Python script whose output the test reads; it ends with the test at the latest.

    Like an installed program, it does not import what lies in the current folder.
    """
    with warm_python().start("-P", "-c", script, *map(str, arguments)) as process:
        try:
            yield process
        finally:
            process.kill()


def whole_lines(path: Path) -> list[str]:
    """Return the lines of a file that others write meanwhile, without one that lacks its end."""
    return path.read_text().rpartition("\n")[0].splitlines() if path.exists() else []


def descendants(pid: int) -> set[int]:
    """Return the living children of ``pid``, their children, and so on."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            parents[int(path.parent.name)] = int(path.read_text().rpartition(")")[2].split()[1])
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}
