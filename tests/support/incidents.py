"""Made-up incidents, all at once in one running stack, and what Prometheus says of them."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from spigot import RateLimited, job_type

from .fleet import Fleet, Web
from .processes import wait_for
from .prometheus import Prometheus, prometheus
from .servers import Server, own_server

BUCKETS = {
    "default": {"rate": "4/s", "capacity": 5000, "max_running": 4},
    "stalling": {"rate": "4/s", "capacity": 5000},
    "deserted": {
        "rate": "4/s",
        "capacity": 100,
        "budgets": {"jobs": {"limit": "9000/m", "cost": 1}},
    },
    "refusing": {"rate": "4/s", "capacity": 100},
}
"""One for each incident, and one that is well."""

RULES = {"default": {"capacity": 100_000, "refill_rate": 10_000}}
LONG = 600
"""Jobs that keep a bucket busy to the end of the story."""


@job_type("work")
def work() -> str:
    """Take a moment."""
    time.sleep(0.01)
    return "done"


@job_type("hang", bucket="stalling")
def hang(seconds: float = 0) -> None:
    """Take as long as somebody wants."""
    time.sleep(seconds)


@job_type("orphan", bucket="deserted")
def orphan() -> None:
    """Do nothing."""


@job_type("ask", bucket="refusing")
def ask(refused: bool = False) -> None:
    """Be refused, if the downstream wants it."""
    if refused:
        raise RateLimited(retry_after=120)


@dataclass
class Story:
    """What Prometheus said.

    Attributes:
        calm: Alerts that fired before the incidents.
        fired: Those that fired after, and how many seconds after.
        running: To ask for more; it runs until the last test.
    """

    running: Prometheus
    calm: set[str] = field(default_factory=set)
    fired: dict[str, float] = field(default_factory=dict)
    alerts: dict[str, dict[str, Any]] = field(default_factory=dict)

    def watch(self, awaited: set[str], seconds: float) -> None:
        """Note which alerts fire and when, until all of ``awaited`` do."""
        began = time.monotonic()
        while awaited - self.fired.keys() and time.monotonic() - began < seconds:
            for name, alert in self.running.firing().items():
                self.fired.setdefault(name, time.monotonic() - began)
                self.alerts[name] = alert
            time.sleep(0.5)


@contextmanager
def incidents(folder: Path, awaited: set[str], seconds: float) -> Iterator[Story]:
    """Bring the incidents about, and watch until the awaited alerts fire."""
    with ExitStack() as stack:
        queues, limits = stack.enter_context(own_server()), stack.enter_context(own_server())
        fleet = _fleet(folder, queues, limits)
        doomed = stack.enter_context(fleet.run("worker", "deserted", "--count", "1"))
        for bucket in ("default", "stalling", "refusing"):
            stack.enter_context(fleet.run("worker", bucket, "--count", "2", "--simple"))
        web = stack.enter_context(fleet.web())
        story = Story(
            stack.enter_context(prometheus(folder / "prometheus", f"{web.host}:{web.port}"))
        )
        _submit(web, "work", LONG)
        _submit(web, "hang", LONG)
        _submit(web, "ask", 1)
        _submit(web, "orphan", 1)
        stack.enter_context(_visitors(web))
        wait_for(lambda: _is_seen(story.running), 60)
        story.calm = set(story.running.firing())

        doomed.kill()
        _submit(web, "orphan", 2)
        limits.kill()
        _submit(web, "hang", 2, {"seconds": 600}, priority="high")
        _submit(web, "ask", 1, {"refused": True})
        story.watch(awaited, seconds)
        yield story


def _fleet(folder: Path, queues: Server, limits: Server) -> Fleet:
    fleet = Fleet(queues.url, folder)
    fleet.settings |= {
        "SPIGOT_APPS": __name__,
        "SPIGOT_LIMITS_REDIS_URL": limits.url,
        "SPIGOT_GRACE_SECONDS": "0",
    }
    (folder / "buckets.json").write_text(json.dumps(BUCKETS))
    (folder / "rate_limits.json").write_text(json.dumps(RULES))
    return fleet


def _submit(
    web: Web, type: str, times: int, payload: Any = None, priority: str = "default"
) -> None:
    for _ in range(times):
        job = {"type": type, "payload": payload or {}, "priority": priority}
        # a server that is late is told as one that is away: what counts is that the job is there
        wait_for(lambda job=job: web.ask("POST", "/jobs", job)[0] == 202)


def _is_seen(running: Prometheus) -> bool:
    """Return whether jobs have run for long enough that rates can be told."""
    ended = running.query('rate(spigot_jobs_finished_total{bucket="default"}[1m]) > 0')
    asked = running.query("rate(spigot_door_decision_seconds_count[1m]) > 0")
    return bool(ended and asked)


@contextmanager
def _visitors(web: Web) -> Iterator[None]:
    """Keep asking for something at the door."""
    done = threading.Event()

    def visit() -> None:
        while not done.wait(0.5):
            web.ask("GET", "/buckets")

    visitor = threading.Thread(target=visit)
    visitor.start()
    try:
        yield
    finally:
        done.set()
        visitor.join()
