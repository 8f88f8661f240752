"""What a job raises when the downstream says "too many"."""

from math import isnan
from typing import get_args

from spigot.runtime.errors import PortableError

from .downstream_answer import answer_of
from .refusal import Kind, Refusal, refusal_in
from .retry_after import Headers, wait_in

DEFAULT_SECONDS = 10.0
"""How long a bucket is held at first if the downstream does not say for how long."""

QUOTA_SECONDS = 300.0
"""The same if it says that a quota is spent, but not until when."""

SEVERITY = ("wait", "quota", "too_large")
"""The kinds, the worst last."""

LONGEST_SECONDS = 86400.0
"""How long it is held at most: after a day the downstream is asked again."""


class RateLimited(PortableError):
    """The downstream refused: hold the whole bucket, and run this job first afterwards.

    No retry is used and no failure is counted. It may be raised by a job type's function, by
    what it calls, and by plain functions that RQ enqueued.

    Args:
        retry_after: Seconds until the downstream will serve again, >= 0; more than a day counts
            as a day. A bucket waits for one of its intervals at least.
        kind: ``wait``; ``quota`` if what the downstream grants for a day, or for money, is spent:
            it is asked with one job at a time until it serves again; ``too_large`` if it will
            never serve this job: the job fails at once, and its bucket goes on.
        headers: Of the downstream's response, read if ``retry_after`` is not given. If they do
            not say how long, the bucket is held for 10 seconds, or 5 minutes for a quota, and
            longer if that goes on.

    Attributes:
        retry_after: Seconds that the bucket is to be held.
        kind: As given.
        stated: Whether the downstream said how long.

    Raises:
        ValueError: ``retry_after`` is negative or not a number, or ``kind`` is none of these.
    """

    def __init__(
        self,
        retry_after: float | None = None,
        *,
        kind: Kind = "wait",
        headers: Headers | None = None,
    ) -> None:
        if retry_after is not None and (isnan(retry_after) or retry_after < 0):
            raise ValueError(f"retry_after must be >= 0 seconds, not {retry_after}")
        if kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(Kind))}, not {kind!r}")
        asked = wait_in(headers) if headers is not None and retry_after is None else None
        seconds = asked.seconds if asked else retry_after
        self.kind = kind
        self.stated = seconds is not None
        if seconds is None:
            seconds = QUOTA_SECONDS if kind == "quota" else DEFAULT_SECONDS
        self.retry_after = min(LONGEST_SECONDS, seconds)
        super().__init__(self._message(asked.header if asked else ""))

    @classmethod
    def of(cls, refusal: Refusal) -> "RateLimited":
        """Build what says the same as a refusal that was read."""
        if refusal.wait is None:
            return cls(kind=refusal.kind)
        limit = cls(refusal.wait.seconds, kind=refusal.kind)
        limit.args = (limit._message(refusal.wait.header),)
        return limit

    def _message(self, source: str) -> str:
        if self.kind == "too_large":
            return "the downstream will never serve this job: it is too large"
        refused = "the downstream's quota is spent" if self.kind == "quota" else "the downstream"
        link = ": it" if self.kind == "quota" else ""
        if not self.stated:
            return f"{refused}{link or ' refused and'} did not say for how long"
        named = f" ({source})" if source else ""
        return f"{refused}{link} asked to wait {self.retry_after:g} s{named}"


def raise_for_rate_limit(answer: object) -> None:
    """Raise ``RateLimited`` if the downstream refused.

    That is 402, 413, 429, 503 or 529; 403 if it is a limit (``Retry-After``, a limit that is used
    up, or a body that says so); and what a body names as one under 400, or in a stream that
    breaks off. At most 64 KiB of a JSON body are read. Whatever else it is given passes.

    Args:
        answer: A response of ``requests``, ``httpx``, ``aiohttp`` or ``urllib``, an exception of
            an SDK such as ``openai``, ``anthropic``, ``google-genai``, ``botocore``, or anything
            with ``status_code`` and ``headers``.

    Raises:
        RateLimited: Let it through: the worker knows what to do.
    """
    if isinstance(answer, RateLimited):
        raise answer
    refusal = refusal_in(answer_of(answer))
    if refusal is not None:
        raise RateLimited.of(refusal) from (answer if isinstance(answer, BaseException) else None)


def rate_limit_in(error: BaseException) -> RateLimited | None:
    """Return the ``RateLimited`` that an exception is, or consists of.

    A group, as ``asyncio.TaskGroup`` raises it, counts as its worst kind, and of these the
    longest, if all that it holds are ``RateLimited``; with another error among them it is a
    failure.
    """
    if isinstance(error, RateLimited):
        return error
    if not isinstance(error, BaseExceptionGroup):
        return None
    limits = [rate_limit_in(inner) for inner in error.exceptions]
    found = [limit for limit in limits if limit is not None]
    return max(found, key=_severity) if len(found) == len(limits) else None


def _severity(limit: RateLimited) -> tuple[int, float]:
    return SEVERITY.index(limit.kind), limit.retry_after
