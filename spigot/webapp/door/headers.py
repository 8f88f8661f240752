"""What a decision says in headers.

The names and the syntax may still change, so they are nowhere else.
Source: draft-ietf-httpapi-ratelimit-headers-10; RFC 9651, section 3.3 (integers and strings).
"""

from functools import lru_cache
from urllib.parse import quote

from spigot.webapp.door.rate_limits.decision import Decision
from spigot.webapp.door.rate_limits.rule import Rule

PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def rate_limit_headers(decision: Decision) -> list[tuple[str, str]]:
    """Return the headers of an answer; none if no rule was asked.

    ``RateLimit-Policy`` and ``RateLimit`` have an item per rule, in the order of the file; the
    ``X-RateLimit-*`` tell the tightest of the enforced ones: a violated one with the longest
    wait, or else the one with the fewest requests left.
    """
    policies, items, rooms = [], [], []
    for state in decision.states:
        rule = state.check.rule_cost.rule
        remaining, more_in_us = state.remaining, state.more_in_us
        name, policy = _name_and_policy(rule)
        policies.append(policy)
        if more_in_us is None:  # no time would be true
            items.append(f"{name};r={remaining}")
        else:
            items.append(f"{name};r={remaining};t={whole_seconds(more_in_us)}")
        if rule.enforced:
            rooms.append((state.admits, remaining, -(more_in_us or 0), rule.limit.quota))
    headers = [("RateLimit-Policy", ", ".join(policies)), ("RateLimit", ", ".join(items))]
    return headers + _legacy_headers(rooms) if items else []


def whole_seconds(us: int) -> int:
    """Return seconds, rounded up: who waits them has waited long enough."""
    return -(-us // 1_000_000)


@lru_cache(maxsize=1000)
def _name_and_policy(rule: Rule) -> tuple[str, str]:
    escaped = rule.name.replace("\\", "\\\\").replace('"', '\\"')
    name = f'"{quote(escaped, safe=PRINTABLE)}"'
    return name, f"{name};q={rule.limit.quota};w={whole_seconds(rule.limit.period_us)}"


def _legacy_headers(rooms: list[tuple[bool, int, int, int]]) -> list[tuple[str, str]]:
    if not rooms:
        return []
    _, remaining, wait_us, quota = min(rooms)
    return [
        ("X-RateLimit-Limit", str(quota)),
        ("X-RateLimit-Remaining", str(remaining)),
        ("X-RateLimit-Reset", str(whole_seconds(-wait_us))),
    ]
