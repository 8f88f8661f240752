"""Job types that do not succeed, to see what the applications say of them."""

from spigot import RetryPolicy, job_type

LATER = RetryPolicy(retries=5, delay=60, jitter=False)


@job_type("fail", bucket="requests")
def fail(why: str) -> None:
    """Fail for good."""
    raise RuntimeError(why)


@job_type("fail_for_now", bucket="requests", retries=LATER)
def fail_for_now() -> None:
    """Fail, and be tried again after a while."""
    raise RuntimeError("not yet")
