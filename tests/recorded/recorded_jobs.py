"""Job types of the recordings. Their names and payloads must stay: recordings hold them.

While a recording is made they behave badly (``RECORDING`` is set); when it is played in, well.
"""

import os
import time

try:
    from spigot import RateLimited, RetryPolicy, job_type, report_progress
except ImportError:  # versions before the one package
    from jobs import RateLimited, RetryPolicy, job_type, report_progress

HOUR = 3600.0


def recording() -> bool:
    return "RECORDING" in os.environ


@job_type("echo", log=["value"])
def echo(value: int) -> int:
    return value


@job_type("nap", log=["value"])
def nap(value: int) -> int:
    """Be in the middle of the work when the recording is made."""
    report_progress(1, 2, "napping")
    if recording():
        time.sleep(600)
    return value


@job_type("stumble", retries=RetryPolicy(retries=2, delay=HOUR, jitter=False))
def stumble(value: int) -> int:
    """Fail, and be tried again an hour later."""
    if recording():
        raise ValueError("stumbled")
    return value


@job_type("broken")
def broken(value: int) -> int:
    """Fail for good."""
    if recording():
        raise ValueError("broken")
    return value


@job_type("refused", bucket="held")
def refused(value: int) -> int:
    """Be told by the downstream to come back in an hour."""
    if recording():
        raise RateLimited(HOUR)
    return value


@job_type("patient", bucket="paused")
def patient(value: int) -> int:
    """Be given back by a worker that stops."""
    if recording():
        time.sleep(600)
    return value


@job_type("left", bucket="left", log=["value"])
def left(value: int) -> int:
    """End, with a worker that can say so to nobody."""
    return value


def double(value: int) -> int:
    """Do what plain RQ asks for."""
    return 2 * value
