"""The door's counts in the memory of this process, in place of its script on the server."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

from redis import Redis

from spigot.webapp.door.rate_limits.decision import Decision
from spigot.webapp.door.rate_limits.local_fallback import LocalFallback
from spigot.webapp.door.rate_limits.rule_cost import RuleCheck


@contextmanager
def door_in_memory() -> Iterator[None]:
    """Let every door that is built in the block decide alone, by its rules' whole limits."""
    states = LocalFallback(1, lambda: time.monotonic_ns() // 1000)

    class MemoryScript:
        """What ``DecideScript`` does, without a server."""

        def __init__(self, redis: Redis) -> None:
            """Take what ``DecideScript`` takes."""

        def pack(self, checks: Sequence[RuleCheck], *_: Any, **__: Any) -> Sequence[RuleCheck]:
            return checks

        def run(self, call: Sequence[RuleCheck], checks: Sequence[RuleCheck]) -> Decision:
            return states.spend(checks)

        def disconnect_idle(self) -> None:
            """There is no connection."""

    with patch("spigot.webapp.door.rate_limits.limiter.DecideScript", MemoryScript):
        yield
