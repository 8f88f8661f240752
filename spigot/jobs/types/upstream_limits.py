"""What a downstream says of its own limits in any answer, noted as a second witness beside ours.

Sources: the headers of OpenAI and Azure OpenAI (``x-ratelimit-limit-tokens``), of Anthropic
(``anthropic-ratelimit-output-tokens-limit``), and draft-ietf-httpapi-ratelimit-headers-10
(``RateLimit-Policy`` and ``RateLimit``).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from spigot.jobs.budgets.report import NAME, note_limits
from spigot.jobs.budgets.upstream_note import UpstreamNote

from .downstream_answer import answer_of
from .retry_after import NUMBER, UNSAID, seconds_until

UNSTATED_SECONDS = 60.0
"""How long a limit counts whose reset is not said."""

OPENAI = re.compile(r"x-ratelimit-limit-(tokens|requests)")
ANTHROPIC = re.compile(r"anthropic-ratelimit-(requests|tokens|input-tokens|output-tokens)-limit")
ITEM = re.compile(r'"((?:[^"\\]|\\.)*)"((?:\s*;\s*[a-z]+=[^;,]+)*)')
PARAMETER = re.compile(r";\s*([a-z]+)=(\d{1,15})(?![\d.])")


@dataclass(frozen=True, slots=True)
class _Headers:
    """Values by name in small letters; ``date`` is what their times are compared with."""

    values: dict[str, str]

    def number(self, name: str) -> float | None:
        value = self.values.get(name, "")
        return float(value) if value != UNSAID and NUMBER.fullmatch(value) else None


def note_response(answer: object) -> None:
    """Note what a downstream says of its own limits, in any of its answers.

    What it has left of a limit slows this bucket's budget of the same name (``tokens``,
    ``requests``, ``input``, ``output``, or the name of an IETF policy), so that another program on
    the same account slows us before it refuses us. It is told at once if it tightens what is known,
    else when the attempt ends, and forgotten at the reset that was stated. Outside of a job it
    does nothing.

    Args:
        answer: A response or an exception, as ``raise_for_rate_limit`` takes it.
    """
    note_limits(list(limits_in(answer)))


def limits_in(answer: object) -> Iterator[UpstreamNote]:
    """Yield each limit that an answer states, with what is left of it; -1 is not said."""
    headers = _Headers({name: value for name, (_, value) in answer_of(answer).headers.items()})
    for name in headers.values:
        for pattern in (OPENAI, ANTHROPIC):
            if found := pattern.fullmatch(name):
                yield from _named(headers, name, found[1])
    yield from _policies(headers)


def _named(headers: _Headers, name: str, kind: str) -> Iterator[UpstreamNote]:
    limit = headers.number(name)
    remaining = headers.number(_beside(name, "remaining"))
    reset = headers.values.get(_beside(name, "reset"), "")
    seconds = seconds_until(reset, headers.values.get("date"))
    if limit is not None and remaining is not None:
        yield UpstreamNote(kind.replace("-", "_"), limit, remaining, seconds or UNSTATED_SECONDS)


def _beside(name: str, word: str) -> str:
    """Return the header that says something else of the same limit."""
    before, _, after = name.rpartition("limit")
    return f"{before}{word}{after}"


def _policies(headers: _Headers) -> Iterator[UpstreamNote]:
    limits = dict(_items(headers.values.get("ratelimit-policy", "")))
    for name, stated in _items(headers.values.get("ratelimit", "")):
        limit, remaining = limits.get(name, {}).get("q"), stated.get("r")
        if limit is not None and remaining is not None and NAME.fullmatch(name):
            seconds = stated.get("t", limits[name].get("w", UNSTATED_SECONDS))
            yield UpstreamNote(name, limit, remaining, seconds or UNSTATED_SECONDS)


def _items(value: str) -> Iterator[tuple[str, dict[str, float]]]:
    for item in ITEM.finditer(value):
        yield item[1], {name: float(number) for name, number in PARAMETER.findall(item[2])}
