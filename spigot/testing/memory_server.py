"""A server in the memory of this process, which every connection of Spigot leads to meanwhile."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

from redis import Redis

from spigot.jobs.program import program_at
from spigot.jobs.store.primary_watch import PrimaryWatch

from .virtual_clock import VirtualClock

try:
    from fakeredis import FakeServer, FakeStrictRedis
    from fakeredis.commands_mixins import server_mixin
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(
        "spigot.testing needs what its extra brings: pip install 'spigot-jobs[testing]'",
        name=error.name,
    ) from error

URL = "redis://in-memory.invalid:6379/0"
"""What the settings say meanwhile. No connection is opened to it."""


@contextmanager
def memory_server(clock: VirtualClock) -> Iterator[Redis]:
    """Let Spigot use a server of its own in this process, until the end of the block.

    Args:
        clock: Of the server, by which slots, holds and delays are reckoned.

    Yields:
        A connection to it.
    """
    server = FakeServer()

    def client(options: dict[str, Any], timeout: float) -> Redis:
        return FakeStrictRedis(server=server)

    with ExitStack() as stack:
        stack.enter_context(patch("spigot.runtime.server.redis_connection._client", client))
        stack.enter_context(patch.object(server_mixin, "time", clock))
        # it speaks to a socket; what is in memory does not move
        stack.enter_context(patch.object(PrimaryWatch, "start", lambda self: None))
        stack.enter_context(patch.dict(os.environ, {"REDIS_URL": URL}))
        program_at.cache_clear()
        stack.callback(program_at.cache_clear)
        yield FakeStrictRedis(server=server)
