"""A rate limit: what it counts, for whom, on which requests."""

import fnmatch
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from spigot.webapp.door.client_address import Network

from . import keys
from .fixed_window import FixedWindow
from .token_bucket import TokenBucket


@dataclass(frozen=True)
class Match:
    """Which requests a rule is about.

    Attributes:
        method: Such as ``POST``; None: any. ``GET`` includes HEAD, which runs the same view.
        path: Without query; ``*`` matches anything, ``/`` included.
    """

    method: str | None
    path: str

    @classmethod
    def parse(cls, text: str) -> "Match":
        """Read ``PATH`` or ``METHOD PATH``.

        Raises:
            ValueError: The text is neither.
        """
        found = re.fullmatch(r"(?:([A-Za-z]+) +)?([/*].*)", text)
        if found is None:
            raise ValueError(f"{text!r} is neither PATH nor METHOD PATH, such as 'POST /jobs'")
        return cls(found[1] and found[1].upper(), found[2])

    def covers(self, method: str, path: str) -> bool:
        """Return whether a request is meant."""
        if self.method not in (None, method) and (self.method, method) != ("GET", "HEAD"):
            return False
        return self._pattern.match(path) is not None

    @property
    def text(self) -> str:
        """The match as it is written."""
        return f"{self.method} {self.path}" if self.method else self.path

    def spells_out(self, prefix: str) -> bool:
        """Return whether the pattern spells out ``prefix`` before its first ``*``.

        Only such rules limit an exempt path.
        """
        return self.path.partition("*")[0].startswith(prefix)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        only_stars = re.sub(r"([?[])", r"[\1]", self.path)
        return re.compile(fnmatch.translate(only_stars))  # atomic: no path makes it backtrack


@dataclass(frozen=True, eq=False)
class Rule:
    """One rate limit, as ``rate_limits.json`` tells it.

    Attributes:
        name: Of the policy, as clients see it.
        limit: The algorithm with its numbers.
        match: The requests it is about; none: it is applied by name.
        counted_by: Whom it counts: ``ip``, ``global`` or names of headers, joined.
        cost: What one request spends, 1 to the quota.
        on_error: Who decides while the server is away: ``local``, ``allow`` or ``deny``.
        enforced: False: it is counted and reported, and refuses nothing (shadow mode).
        allow: Networks that it lets pass unseen.
        deny: Networks that it forbids; they win over ``allow``.
    """

    name: str
    limit: TokenBucket | FixedWindow
    match: tuple[Match, ...] = ()
    counted_by: tuple[str, ...] = ("ip",)
    cost: int = 1
    on_error: str = "local"
    enforced: bool = True
    allow: tuple[Network, ...] = ()
    deny: tuple[Network, ...] = ()

    def covers(
        self, method: str, path: str, prefix: str = "", *, writes_method: bool = False
    ) -> bool:
        """Return whether it is about a request, and spells out ``prefix``.

        Args:
            method: Of the request.
            path: Of the request.
            prefix: Beginning of the path that must be spelled out; empty: none.
            writes_method: The method must be written out too.
        """
        return any(
            match.covers(method, path)
            and match.spells_out(prefix)
            and (match.method is not None or not writes_method)
            for match in self.match
        )

    def to_json(self) -> dict[str, Any]:
        """Return the rule as commands show it."""
        return {
            "name": self.name,
            **self.limit.numbers,
            "match": [match.text for match in self.match],
            "key": list(self.counted_by),
            "cost": self.cost,
            "on_error": self.on_error,
            "mode": "enforce" if self.enforced else "shadow",
            "allow": [str(network) for network in self.allow],
            "deny": [str(network) for network in self.deny],
        }

    @cached_property
    def state_prefix(self) -> str:
        """Beginning of the keys that hold what its clients have left."""
        return keys.state_prefix(self.limit.algorithm, self.name)
