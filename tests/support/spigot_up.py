"""A whole Spigot, as a user starts it: server, web and workers under ``spigot up``."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from spigot.runtime.listening_socket import free_port

from .processes import wait_for, whole_lines
from .visitors import Visitor

ROOT = Path(__file__).parents[2]
STOP_SECONDS = 60


@dataclass(frozen=True)
class Stack:
    """Where a running Spigot is.

    Attributes:
        url: Of its API.
        folder: Current folder of its processes; the data folder is ``data`` in it.
        environment: What they were started with.
    """

    url: str
    folder: Path
    environment: dict[str, str]

    def result_log(self) -> list[dict[str, Any]]:
        """Return the lines of the result log."""
        path = self.folder / "data" / "results.jsonl"
        return [json.loads(line) for line in whole_lines(path)]


@contextmanager
def spigot_up(folder: Path, **settings: str) -> Iterator[Stack]:
    """Run ``spigot up`` with its data in ``folder``, and stop it as Ctrl-C does."""
    port = free_port()
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "SPIGOT_RATE_LIMITS": str(ROOT / "rate_limits.json"),
        "SPIGOT_BUCKETS": str(ROOT / "buckets.json"),
        "SPIGOT_TRUSTED_PROXIES": "127.0.0.1/32",
        **settings,
    }
    command = [sys.executable, "-P", "-m", "spigot", "up", "--port", str(port)]
    with (folder / "up.log").open("a") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        stack = Stack(f"http://127.0.0.1:{port}", folder, environment)
        wait_for(lambda: process.poll() is not None or _is_ready(stack.url), 60)
        assert process.poll() is None, (folder / "up.log").read_text()
        yield stack
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)


def _is_ready(url: str) -> bool:
    try:
        return Visitor(url).get("/readyz").status == 200
    except OSError:
        return False
