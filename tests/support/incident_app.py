"""Job types for made-up incidents, each in a bucket of its own, and one that is well."""

import time

from spigot import RateLimited, job_type


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
