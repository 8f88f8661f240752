"""The names of everything that the door keeps in Redis.

A name ends in the client, the only part that may hold a colon; a rule's name is percent-encoded.
So no two rules or clients share a key, whatever characters they hold.
"""

from urllib.parse import quote

PREFIX = "spigot:1:door:"


def ban(client: str) -> str:
    """String: the microsecond at which a client's ban ends (``ban.lua`` writes it)."""
    return f"{PREFIX}ban:{client}"


def bans() -> str:
    """Sorted set: banned clients by that microsecond, so that bans can be listed."""
    return f"{PREFIX}bans"


def states(algorithm: str, rule: str) -> str:
    """Beginning of the names under which one rule keeps its clients."""
    return f"{PREFIX}{algorithm}:{quote(rule, safe='')}:"


def state(algorithm: str, rule: str, client: str) -> str:
    """String: what one client has left of one rule (``decide.lua`` lists its fields)."""
    return states(algorithm, rule) + client


def refusals(slot: int) -> str:
    """Sorted set: who was refused by which rule, by how often, in one slot of time."""
    return f"{PREFIX}refusals:{slot}"
