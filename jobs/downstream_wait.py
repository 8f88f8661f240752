"""Reads from a refusal's headers how long the downstream wants to be left alone.

Sources: RFC 9110, section 10.2.3 (``Retry-After``); draft-ietf-httpapi-ratelimit-headers-10
(``RateLimit``) and its drafts 6 and 7; the documentation of services that send ``X-RateLimit-…``
(GitHub and Twitter: a Unix time; OpenAI and Groq: ``6m0s``; Discord: ``…-Reset-After``; Anthropic:
RFC 3339).
"""

import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,9})?", re.ASCII)
DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|d|h|m|s))+", re.ASCII)
PART = re.compile(r"([\d.]+)(ms|d|h|m|s)")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400}

QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
PARAMETER = re.compile(r"\b(r|t|remaining|reset)=(\d{1,18})(?![\d.])", re.ASCII)
RESET = re.compile(r"(?:x-|anthropic-)?rate-?limit-(?:[a-z0-9-]+-)?reset(?:-[a-z0-9-]+)?")

UNIX_SECONDS = 1e9
"""A number from here on is a Unix time: as a wait it would be 31 years."""

UNIX_MILLISECONDS = 1e11


@dataclass(frozen=True, slots=True)
class Wait:
    """What a header asks for.

    Attributes:
        seconds: From now on, >= 0.
        header: Its name, as it was sent.
    """

    seconds: float
    header: str


@dataclass(frozen=True, slots=True)
class _Quota:
    """One of the limits that a downstream reports.

    Attributes:
        remaining: Requests it would still admit; None if it does not say.
    """

    wait: Wait
    remaining: float | None


def wait_in(headers: Mapping[str, str], now: float | None = None) -> Wait | None:
    """Return how long a refusing downstream asks to wait, or None if it does not say.

    ``Retry-After`` goes before all others. Of several limits it is the longest wait of those
    that are used up; if it says that none is, the soonest; if it does not say, the longest.
    A value that is no time, or negative, counts as not sent; one in the past is 0.

    Args:
        headers: Of the response; names in any case.
        now: Unix seconds. None takes the response's ``Date``, so that a clock which is set wrong
            does not matter, or else the clock of this machine.
    """
    sent = {name.lower(): (name, str(value).strip()) for name, value in headers.items()}
    if now is None:
        now = _moment(sent["date"][1]) if "date" in sent else None
    reader = _Reader(sent, time.time() if now is None else now)
    return reader.retry_after() or _choose(reader.policies()) or _choose(reader.resets())


@dataclass(frozen=True, slots=True)
class _Reader:
    sent: Mapping[str, tuple[str, str]]
    now: float

    def retry_after(self) -> Wait | None:
        """Read what says when to come back without naming a limit."""
        name, value = self.sent.get("retry-after-ms", ("", ""))
        if NUMBER.fullmatch(value):
            return Wait(float(value) / 1000, name)
        name, value = self.sent.get("retry-after", ("", ""))
        return self._wait(name, value)

    def policies(self) -> Iterator[_Quota]:
        """Read ``RateLimit``: ``"name";r=0;t=30`` (draft 10) or ``remaining=0, reset=30`` (7)."""
        name, value = self.sent.get("ratelimit", ("", ""))
        unquoted = QUOTED.sub("", value)
        for item in [unquoted] if "reset=" in unquoted else unquoted.split(","):
            found = dict(PARAMETER.findall(item))
            seconds = found.get("t", found.get("reset"))
            remaining = found.get("r", found.get("remaining"))
            if seconds is not None:
                wait = Wait(float(seconds), name)
                yield _Quota(wait, None if remaining is None else float(remaining))

    def resets(self) -> Iterator[_Quota]:
        """Read ``RateLimit-Reset`` and the many forms of ``X-RateLimit-Reset-…``."""
        for lower, (name, value) in self.sent.items():
            wait = self._wait(name, value) if RESET.fullmatch(lower) else None
            if wait is not None:
                _, left = self.sent.get(
                    lower.replace("reset", "remaining").removesuffix("-after"), ("", "")
                )
                yield _Quota(wait, float(left) if NUMBER.fullmatch(left) else None)

    def _wait(self, name: str, value: str) -> Wait | None:
        seconds = _seconds(value)
        if seconds is None:
            moment = _unix_time(value)
            seconds = None if moment is None else max(0.0, moment - self.now)
        return None if seconds is None else Wait(seconds, name)


def _choose(quotas: Iterator[_Quota]) -> Wait | None:
    found = list(quotas)
    if not found:
        return None
    exhausted = [quota.wait for quota in found if quota.remaining == 0]
    waits = exhausted or [quota.wait for quota in found]
    none_exhausted = all(quota.remaining for quota in found)
    return (min if none_exhausted else max)(waits, key=lambda wait: wait.seconds)


def _seconds(value: str) -> float | None:
    """Read a number of seconds, or a duration such as ``6m0s``; None if it is neither."""
    if NUMBER.fullmatch(value):
        number = float(value)
        return number if number < UNIX_SECONDS else None
    if DURATION.fullmatch(value):
        return sum(float(number) * SECONDS[unit] for number, unit in PART.findall(value))
    return None


def _unix_time(value: str) -> float | None:
    """Read a time as a number or as a text; None if it is neither."""
    if NUMBER.fullmatch(value):
        number = float(value)
        return number / 1000 if number >= UNIX_MILLISECONDS else number
    return _moment(value)


def _moment(value: str) -> float | None:
    """Read an HTTP date or an RFC 3339 time as Unix seconds; None if it is neither."""
    for parse in (parsedate_to_datetime, datetime.fromisoformat):
        try:
            moment = parse(value)
            return moment.replace(tzinfo=moment.tzinfo or UTC).timestamp()
        except (ValueError, OverflowError, TypeError, IndexError):
            continue
    return None
