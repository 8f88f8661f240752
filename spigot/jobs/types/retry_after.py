"""Reads from a refusal's headers how long the downstream wants to be left alone.

Sources: RFC 9110, section 10.2.3 (``Retry-After``); draft-ietf-httpapi-ratelimit-headers-10
(``RateLimit``) and its drafts 6 and 7; the documentation of services that send ``X-RateLimit-…``
(GitHub and Twitter: a Unix time; OpenAI and Groq: ``6m0s``; Discord: ``…-Reset-After``; Anthropic:
RFC 3339).
"""

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from spigot.runtime.time_units import SECONDS

NUMBER = re.compile(r"\d{1,18}(?:\.\d{1,9})?", re.ASCII)
DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{1,9})?(?:ms|d|h|m|s))+", re.ASCII)
PART = re.compile(r"([\d.]+)(ms|d|h|m|s)")
PART_SECONDS = {"ms": 0.001, **SECONDS}

QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
PARAMETER = re.compile(r"\b(r|t|remaining|reset)=(\d{1,18})(?![\d.])", re.ASCII)
RESET = re.compile(r"(?:x-|anthropic-)?rate-?limit-(?:[a-z0-9-]+-)?reset(?:-[a-z0-9-]+)?")

UNIX_SECONDS = 1e9
"""A number from here on is a Unix time: as a wait it would be 31 years."""

UNIX_MILLISECONDS = 1e11

UNSAID = "-1"
"""Azure's value of a limit that it does not report; the reset beside it, 0, means nothing."""

Headers = Mapping[str, str] | Iterable[tuple[str, str]]
"""Names in any case."""


@dataclass(frozen=True, slots=True)
class Wait:
    """What a header asks for.

    Attributes:
        seconds: From now on, >= 0.
        header: Its name, as it was sent.
    """

    seconds: float
    header: str


def seconds_until(value: str, date: str | None) -> float | None:
    """Read a duration or a time as seconds from the response's ``Date`` on; None if it is none."""
    seconds = _seconds(value)
    if seconds is not None:
        return seconds
    moment, now = _unix_time(value), _moment(date) if date else None
    return None if moment is None else max(0.0, moment - (time.time() if now is None else now))


@dataclass(frozen=True, slots=True)
class _Quota:
    """One of the limits that a downstream reports.

    Attributes:
        remaining: Requests it would still admit; None if it does not say.
    """

    wait: Wait
    remaining: float | None


def wait_in(headers: Headers, now: float | None = None) -> Wait | None:
    """Return how long a refusing downstream asks to wait, or None if it does not say.

    ``Retry-After`` goes before all others; sent several times, the longest counts. Of several
    limits it is the longest wait of those that are used up; if it says that none is, the soonest;
    if it does not say, the longest. A value that is no time, or negative, counts as not sent; one
    in the past is 0.

    Args:
        headers: Of the response.
        now: Unix seconds. None takes the response's ``Date``, so that a clock which is set wrong
            does not matter, or else the clock of this machine.
    """
    return asked_in(headers, now) or limit_in(headers, now)


def asked_in(headers: Headers, now: float | None = None) -> Wait | None:
    """Return the wait that ``Retry-After`` or ``retry-after-ms`` asks for; else as ``wait_in``."""
    return _Reader.of(headers, now).retry_after()


def limit_in(headers: Headers, now: float | None = None, *, used_up: bool = False) -> Wait | None:
    """Return the wait until a limit admits more; else as ``wait_in``.

    Args:
        headers: Of the response.
        now: As for ``wait_in``.
        used_up: Count only limits that say they are used up.
    """
    reader = _Reader.of(headers, now)
    return _choose(reader.policies(), used_up) or _choose(reader.resets(), used_up)


def sent_in(headers: Headers) -> dict[str, tuple[str, str]]:
    """Return name as sent and value of each header, by the name in small letters.

    A header that was sent several times has its values joined by commas, as RFC 9110 has it.
    """
    sent: dict[str, tuple[str, str]] = {}
    for name, value in _pairs(headers):
        known = sent.get(name.lower())
        sent[name.lower()] = (name, f"{known[1]}, {value}" if known else value)
    return sent


def duration_in(text: str) -> float | None:
    """Read a duration such as ``6m0s`` or ``644ms`` as seconds; None if it is none."""
    if not DURATION.fullmatch(text):
        return None
    return sum(float(number) * PART_SECONDS[unit] for number, unit in PART.findall(text))


@dataclass(frozen=True, slots=True)
class _Reader:
    sent: Mapping[str, tuple[str, str]]
    now: float

    @classmethod
    def of(cls, headers: Headers, now: float | None) -> "_Reader":
        sent = sent_in(headers)
        if now is None:
            now = _moment(sent["date"][1]) if "date" in sent else None
        return cls(sent, time.time() if now is None else now)

    def retry_after(self) -> Wait | None:
        """Read what says when to come back without naming a limit."""
        name, value = self.sent.get("retry-after-ms", ("", ""))
        sent = [float(part) for part in _parts(value) if NUMBER.fullmatch(part)]
        if sent:
            return Wait(max(sent) / 1000, name)
        name, value = self.sent.get("retry-after", ("", ""))
        waits = [wait for wait in (self._wait(name, part) for part in _parts(value)) if wait]
        return max(waits, key=lambda wait: wait.seconds, default=None)

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
            left, limit = self._beside(lower, "remaining"), self._beside(lower, "limit")
            if wait is not None and UNSAID not in (left, limit):
                yield _Quota(wait, float(left) if NUMBER.fullmatch(left) else None)

    def _beside(self, reset: str, word: str) -> str:
        name = reset.replace("reset", word).removesuffix("-after")
        return self.sent.get(name, ("", ""))[1]

    def _wait(self, name: str, value: str) -> Wait | None:
        seconds = _seconds(value)
        if seconds is None:
            moment = _unix_time(value)
            seconds = None if moment is None else max(0.0, moment - self.now)
        return None if seconds is None else Wait(seconds, name)


def _pairs(headers: Headers) -> Iterator[tuple[str, str]]:
    """Yield what was sent; the many kinds of headers differ in how they hold a second value."""
    items: Any = getattr(headers, "items", None)  # not all of them are mappings
    pairs: Iterable[Any] = items() if items else headers
    for name, values in pairs:
        for value in values if isinstance(values, list | tuple) else [values]:
            yield _text(name).strip(), _text(value).strip()


def _text(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _parts(value: str) -> Iterator[str]:
    """Yield the values of a header that was sent several times; a date has a comma of its own."""
    parts = [part.strip() for part in value.split(",")]
    while parts:
        dated = ", ".join(parts[:2])
        if len(parts) > 1 and _moment(dated) is not None:
            yield dated
            parts = parts[2:]
        else:
            yield parts.pop(0)


def _choose(quotas: Iterator[_Quota], used_up: bool) -> Wait | None:
    found = [quota for quota in quotas if quota.remaining == 0 or not used_up]
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
    return duration_in(value)


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
