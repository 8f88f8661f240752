"""The names of everything that the door keeps in Redis.

A name ends in the client, the only part that may hold a colon; a rule's name is percent-encoded.
So no two rules or clients share a key, whatever characters they hold. What is kept for an
application of its own has the application's prefix in front.
"""

import re
from urllib.parse import quote

PREFIX = "spigot:1:door:"


def prefix_of(application: str) -> str:
    """Return what stands in front of all names of an application.

    Args:
        application: As its author or an operator wrote it, with or without a colon at the end;
            empty: Spigot's own web, whose names have nothing in front.
    """
    return f"{application.removesuffix(':')}:" if application else ""


def ban(client: str, prefix: str = "") -> str:
    """String: the microsecond at which a client's ban ends (``ban.lua`` writes it)."""
    return prefix + f"{PREFIX}ban:{client}"


def bans(prefix: str = "") -> str:
    """Sorted set: banned clients by that microsecond, so that bans can be listed."""
    return prefix + f"{PREFIX}bans"


def state_prefix(algorithm: str, rule: str) -> str:
    """Strings: what a client, whose name follows, has left of a rule (see ``decide.lua``)."""
    return f"{PREFIX}{algorithm}:{quote(rule, safe='')}:"


def refusals(period: int, prefix: str = "") -> str:
    """Sorted set: who was refused by which rule, by how often, in one period."""
    return prefix + f"{PREFIX}refusals:{period}"


def pattern(beginning: str) -> str:
    """Return the pattern of Redis that finds the names with this beginning, and no others."""
    return re.sub(r"([*?\[\]^\\-])", r"\\\1", beginning) + "*"
