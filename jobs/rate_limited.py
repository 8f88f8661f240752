"""What a job raises when the downstream says "too many"."""

from collections.abc import Mapping
from math import isnan
from typing import Protocol

from .downstream_wait import wait_in
from .errors import PortableError

DEFAULT_SECONDS = 10.0
"""How long a bucket is held if the downstream does not say for how long."""

LONGEST_SECONDS = 86400.0
"""How long it is held at most: after a day the downstream is asked again."""

REFUSALS = (429, 503)
"""Too Many Requests (RFC 6585), Service Unavailable (RFC 9110)."""


class RateLimited(PortableError):
    """The downstream refused: hold the whole bucket, and run this job first afterwards.

    No retry is used and no failure is counted. It may be raised by a job type's function, by
    what it calls, and by plain functions that RQ enqueued.

    Args:
        retry_after: Seconds until the downstream will serve again, >= 0; more than a day counts
            as a day.
        headers: Of the downstream's response, read if ``retry_after`` is not given. If they do
            not say how long, the bucket is held for 10 seconds.

    Raises:
        ValueError: ``retry_after`` is negative or not a number.
    """

    def __init__(
        self, retry_after: float | None = None, *, headers: Mapping[str, str] | None = None
    ) -> None:
        if retry_after is not None and (isnan(retry_after) or retry_after < 0):
            raise ValueError(f"retry_after must be >= 0 seconds, not {retry_after}")
        asked = wait_in(headers) if headers is not None and retry_after is None else None
        seconds = asked.seconds if asked else retry_after
        self.retry_after = min(LONGEST_SECONDS, DEFAULT_SECONDS if seconds is None else seconds)
        super().__init__(_words(self.retry_after, asked.header if asked else None, seconds))


class Response(Protocol):
    """What is needed of a response: those of ``requests`` and ``httpx`` have it."""

    @property
    def status_code(self) -> int:
        """Status code of HTTP."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in any case."""
        ...


def raise_for_rate_limit(response: Response) -> None:
    """Raise ``RateLimited`` if the downstream answered 429 or 503.

    Args:
        response: Of ``requests`` or ``httpx``, or anything with ``status_code`` and ``headers``.

    Raises:
        RateLimited: Let it through: the worker knows what to do.
    """
    if response.status_code in REFUSALS:
        raise RateLimited(headers=response.headers)


def rate_limit_in(error: BaseException) -> RateLimited | None:
    """Return the ``RateLimited`` that an exception is, or consists of.

    A group, as ``asyncio.TaskGroup`` raises it, counts as its longest one if all that it holds
    are ``RateLimited``; with another error among them it is a failure.
    """
    if isinstance(error, RateLimited):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    limits = [rate_limit_in(inner) for inner in error.exceptions]
    found = [limit for limit in limits if limit is not None]
    return max(found, key=lambda limit: limit.retry_after) if len(found) == len(limits) else None


def _words(seconds: float, header: str | None, asked: float | None) -> str:
    if asked is None:
        return f"the downstream refused and did not say for how long: waiting {seconds:g} s"
    source = f" ({header})" if header else ""
    return f"the downstream asked to wait {seconds:g} s{source}"
