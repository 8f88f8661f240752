"""The checks of one client against the rules of a request, and the last refusal.

They are built once and cached. A refusal is remembered for at most a second, so that a repeated
request needs no round trip.
"""

from collections.abc import Iterable
from typing import NamedTuple

from spigot.webapp.door.client_address import is_within
from spigot.webapp.door.client_identity import Client

from .decision import Decision
from .rule_cost import RuleCheck, RuleCost

MAX_KNOWN_US = 1_000_000
"""Microseconds that a refusal is known at most: bans, unbans and resets act within that time."""


class KnownRefusal(NamedTuple):
    """A refusal of the same request, until the wait is over.

    Attributes:
        decision: The refusal.
        known_at_us: When the server had answered. Later waits count from then, so that no client
            comes too early.
        until_us: When the same request may pass. It counts from when the server was asked, because
            the wait began then at the earliest.
    """

    decision: Decision
    known_at_us: int
    until_us: int


class ClientChecks:
    """The checks of one client against one set of rules; remembers a refusal for a second.

    Args:
        costs: What a request costs the rules that it must pass.
        client: Who sends the requests.
        key_prefix: What the names begin with under which the server keeps what is left.

    Attributes:
        names: Names of the client that a ban may be on.
        checks: Of the rules that do not list the client's address.
        forbidding: Of the enforced rules whose ``deny`` holds it.
        shadowed: Of the rules in shadow mode whose ``deny`` holds it.
    """

    def __init__(self, costs: Iterable[RuleCost], client: Client, key_prefix: str = "") -> None:
        checks = [
            RuleCheck.of(each, client.name(each.rule.counted_by), key_prefix) for each in costs
        ]
        denied = [check for check in checks if is_within(client.address, check.rule.deny)]
        allowed = [check for check in checks if is_within(client.address, check.rule.allow)]
        self.names = client.names
        self.checks = tuple(c for c in checks if c not in denied and c not in allowed)
        self.forbidding = tuple(check for check in denied if check.rule.enforced)
        self.shadowed = tuple(check for check in denied if not check.rule.enforced)
        self._refusal: KnownRefusal | None = None

    def known_refusal(self, now_us: int) -> Decision | None:
        """Return the refusal that is certain without asking, as it is to be told now."""
        if self._refusal is None:
            return None
        decision, known_at_us, until_us = self._refusal
        if now_us >= until_us:
            return None
        return decision.after(now_us - known_at_us)

    def remember(self, decision: Decision, *, asked_at_us: int, known_at_us: int) -> None:
        """Keep a refusal for the wait, at most a second."""
        until_us = asked_at_us + min(decision.wait_us, MAX_KNOWN_US)
        self._refusal = KnownRefusal(decision, known_at_us, until_us)
