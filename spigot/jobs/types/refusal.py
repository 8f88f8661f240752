"""Judges what a downstream answered: whether it refused, of what kind that is, and for how long.

It is judged by status, by the codes that the body names and by the numbers in its message, never
by the word "quota", which Azure and Gemini also say of a limit per minute.
Sources: the services' error pages and SDKs, as tests/support/downstream_answers.py quotes them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from .downstream_answer import ALWAYS_REFUSED, Answer, Node
from .retry_after import Wait, asked_in, duration_in, limit_in

Kind = Literal["wait", "quota", "too_large"]
"""``wait``: later it will serve. ``quota``: what it grants for a day, or for money, is spent.
``too_large``: it will never serve this request."""

SPENT = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "organization_spend_limit_exceeded",
        "project_spend_limit_exceeded",
        "organization_usage_limit_exceeded",
        "enforced_spend_limit_reached",
        "billing_error",
        "billing_hard_limit_reached",
        "billing_not_active",
        "exceeded_current_quota_error",
        "dailylimitexceeded",
    }
)

TOO_LARGE = frozenset({"request_too_large"})

LIMITED = frozenset(
    {
        "rate_limit_exceeded",
        "rate_limit_error",
        "rate_limited",
        "ratelimitexceeded",
        "userratelimitexceeded",
        "overloaded_error",
        "server_is_overloaded",
        "slow_down",
        "slowdown",
        "resource_exhausted",
        "throttling",
        "throttlingexception",
        "throttledexception",
        "requestthrottled",
        "requestthrottledexception",
        "requestlimitexceeded",
        "toomanyrequestsexception",
        "provisionedthroughputexceededexception",
    }
)

CODE_KEYS = ("code", "type", "status", "error_code", "reason", "error", "__type", "Code")
MESSAGE_KEYS = ("message", "Message")
LONGEST_MESSAGE = 2_000

SAYS_TOO_LARGE = re.compile(r"request too large", re.IGNORECASE)
LIMIT = re.compile(r"\blimit:?\s*([\d,]{1,20})", re.IGNORECASE)
REQUESTED = re.compile(r"\brequested:?\s*([\d,]{1,20})", re.IGNORECASE)
PER_DAY = re.compile(r"\bper[ -]day\b|\b(?:RPD|TPD)\b")
QUOTA_PER_DAY = re.compile(r"\bquota_id: \"\w*PerDay")
SAYS_RATE_LIMIT = re.compile(r"\brate limit", re.IGNORECASE)
RETRY_DELAY = re.compile(r"retry_delay\s*\{\s*seconds:\s*(\d{1,9})")
"""Of a message of gRPC, printed."""

OUT_OF_QUOTA = re.compile(r"replenished in (?:(\d{1,3})\.)?(\d{1,2}):(\d\d):(\d\d)")

UNITS = {
    **dict.fromkeys(("ms", "msec", "msecs", "millisecond", "milliseconds"), 0.001),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
}
QUANTITY = r"(\d{1,9}(?:\.\d{1,9})?)\s*([a-z]+)"
AGAIN = re.compile(
    r"\b(?:try again|retry|wait|resets?)\s+(?:in|after|for)\s+"
    rf"((?:{QUANTITY}(?:,?\s+(?:and\s+)?(?=\d))?)+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A downstream's refusal.

    Attributes:
        kind: What it means.
        wait: How long it asked to wait; None if it did not say.
    """

    kind: Kind
    wait: Wait | None


def refusal_in(answer: Answer) -> Refusal | None:
    """Judge an answer; None if it is no refusal."""
    codes, messages = set(_codes(answer)), list(_messages(answer))
    if not _is_refused(answer, codes, messages):
        return None
    if answer.status == 413 or codes & TOO_LARGE or any(map(_is_too_large, messages)):
        return Refusal("too_large", None)
    asked = asked_in(answer.sent)
    if _is_geminis_day(answer):  # its RetryInfo may be that of its other limits: a second
        return Refusal("quota", asked)
    if answer.status == 402 or codes & SPENT or any(map(_is_spent, messages)):
        stated = asked or _first(map(_again_in, messages)) or limit_in(answer.sent, used_up=True)
        return Refusal("quota", stated)
    in_body = _first(map(_retry_info, answer.nodes)) or _first(map(_again_in, messages))
    return Refusal("wait", asked or in_body or limit_in(answer.sent))


def _is_refused(answer: Answer, codes: set[str], messages: list[str]) -> bool:
    if answer.status in ALWAYS_REFUSED:
        return True
    if answer.status == 403 and _is_limit(answer, codes, messages):
        return True
    # a stream that breaks off says it under 200, and Amazon's services under 400
    is_told = answer.status in (400, 403) or (answer.is_exception and answer.status in (None, 200))
    return is_told and bool(codes & (LIMITED | SPENT))


def _is_limit(answer: Answer, codes: set[str], messages: list[str]) -> bool:
    """Tell a 403 that is a limit, as GitHub and Azure's gateway send it, from a ban."""
    return (
        "retry-after" in answer.headers
        or limit_in(answer.sent, used_up=True) is not None
        or answer.headers.get("x-ratelimit-remaining", ("", ""))[1] == "0"
        or any(SAYS_RATE_LIMIT.search(text) or OUT_OF_QUOTA.search(text) for text in messages)
    )


def _codes(answer: Answer) -> Iterator[str]:
    for node in answer.nodes:
        for key in CODE_KEYS:
            if isinstance(value := node.get(key), str):
                yield value.rpartition("#")[2].lower()


def _messages(answer: Answer) -> Iterator[str]:
    for node in answer.nodes:
        for key in MESSAGE_KEYS:
            if isinstance(value := node.get(key), str):
                yield value[:LONGEST_MESSAGE]
    yield answer.message[:LONGEST_MESSAGE]


def _is_too_large(message: str) -> bool:
    limit, requested = LIMIT.search(message), REQUESTED.search(message)
    if SAYS_TOO_LARGE.search(message):
        return True
    return bool(limit and requested) and _count(requested) > _count(limit)


def _count(found: re.Match[str] | None) -> int:
    digits = found[1].replace(",", "") if found else ""
    return int(digits) if digits else 0


def _is_spent(message: str) -> bool:
    return bool(PER_DAY.search(message) or OUT_OF_QUOTA.search(message))


def _is_geminis_day(answer: Answer) -> bool:
    ids = (str(node.get("quotaId", "")) for node in answer.nodes)
    return any("PerDay" in quota for quota in ids) or bool(QUOTA_PER_DAY.search(answer.message))


def _retry_info(node: Node) -> Wait | None:
    """Read ``google.rpc.RetryInfo``, such as ``"37s"``."""
    delay = node.get("retryDelay")
    seconds = duration_in(delay) if isinstance(delay, str) else None
    return None if seconds is None else Wait(seconds, "RetryInfo")


def _again_in(message: str) -> Wait | None:
    """Read "try again in 6m0s", "retry after 26 seconds", "replenished in 10:12:31"."""
    if found := OUT_OF_QUOTA.search(message):
        days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
        return Wait(((days * 24 + hours) * 60 + minutes) * 60.0 + seconds, "its message")
    if found := RETRY_DELAY.search(message):
        return Wait(float(found[1]), "RetryInfo")
    for found in AGAIN.finditer(message):
        parts = re.findall(QUANTITY, found[1].lower())
        if all(unit in UNITS for _, unit in parts):
            return Wait(sum(float(number) * UNITS[unit] for number, unit in parts), "its message")
    return None


def _first(waits: Iterator[Wait | None]) -> Wait | None:
    return next((wait for wait in waits if wait is not None), None)
