"""Job types whose end the test decides, run by real workers."""

import asyncio
import logging
import os
import time
from pathlib import Path

from spigot import RateLimited, RetryPolicy, job_type, report_progress


def note(name: str, text: str = "") -> int:
    """Leave a line in the test's folder; return how many of that name there are."""
    path = Path(os.environ["SPIGOT_DATA_DIR"]) / f"{name}.note"
    with path.open("a") as file:
        file.write(f"{time.time():.6f} {os.getpid()} {text}\n")
    return len(path.read_text().splitlines())


@job_type("echo", log=["text"])
def echo(text: str = "") -> str:
    """Return what it is given."""
    return text


@job_type("nap")
def nap(seconds: float, name: str = "nap") -> str:
    """Say that it began, sleep, and say that it ended."""
    note(name, "began")
    time.sleep(seconds)
    note(name, "ended")
    return "rested"


@job_type("fall", retries=RetryPolicy(retries=2, delay=0.3, factor=2, jitter=False), log=["name"])
def fall(name: str, times: int) -> str:
    """Fail so many times."""
    if note(name) <= times:
        raise KeyError(name)
    return "up again"


@job_type("refused", retries=1, log=["name"])
def refused(name: str, times: int, seconds: float) -> str:
    """Be refused by the downstream so many times."""
    ask_downstream(name, times, seconds)
    return "served"


@job_type("refused_together", log=["name"])
async def refused_together(name: str, times: int, seconds: float) -> str:
    """Be refused in a task."""
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(ask_downstream, name, times, seconds))
    return "served"


def ask_downstream(name: str, times: int, seconds: float) -> str:
    """Be refused; a helper of job types, and a function that plain RQ enqueues."""
    if note(name) <= times:
        raise RateLimited(seconds)
    return "served"


@job_type("fail")
def fail_for_good(why: str) -> None:
    """Fail, and say why."""
    raise RuntimeError(why)


@job_type("fail_for_now", retries=RetryPolicy(retries=5, delay=60, jitter=False))
def fail_for_now() -> None:
    """Fail, and be tried again after a while."""
    raise RuntimeError("not yet")


def fail(name: str = "fail") -> None:
    """Fail; a function that plain RQ enqueues."""
    note(name)
    raise KeyError(name)


def on_failure(job, connection, kind, error, trace) -> None:
    """Say that RQ's failure callback was run."""
    note("on_failure", kind.__name__)


def on_stopped(job, connection) -> None:
    """Say that RQ's callback for stopped jobs was run."""
    note("on_stopped", job.id)


@job_type("count")
def count(reports: int, seconds: float, pause: float = 0) -> str:
    """Report progress so many times, evenly over so many seconds, and then say nothing."""
    for done in range(1, reports + 1):
        report_progress(done, reports, f"number {done}")
        time.sleep(seconds / reports)
    time.sleep(pause)
    return "counted"


@job_type("ordeal", retries=1, log=["name"])
def ordeal(name: str) -> int:
    """Fail, be refused, succeed; tell how far it is each time."""
    attempt = note(name)
    report_progress(attempt, 3, "before")
    time.sleep(0.6)
    report_progress(attempt, 3, "after")
    if attempt == 1:
        raise KeyError(name)
    if attempt == 2:
        raise RateLimited(0.2)
    return attempt


@job_type("say")
def say(text: str) -> None:
    """Log a line."""
    logging.getLogger(__name__).info(text)
