"""The workers that ``spigot up`` waits for: how many there are to be, and how many are up."""

import json
import os
import select
import time
from collections.abc import Mapping
from typing import Self

from redis import Redis, RedisError

from spigot.jobs.store import keys
from spigot.jobs.store.times import server_us

PATIENCE_SECONDS = 20.0
"""Workers that are not up by then are waited for no longer: the log says why they are not."""


class ExpectedWorkers:
    """Is told by ``spigot worker`` how many workers each bucket gets, and looks for them.

    Used as a context manager, which opens a pipe; ``fileno()`` is what ``spigot worker`` tells by.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._plan: Mapping[str, int] | None = None
        self._up = 0
        self._give_up_at = time.monotonic() + PATIENCE_SECONDS

    def __enter__(self) -> Self:
        self._read_end, self._write_end = os.pipe()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._read_end)
        os.close(self._write_end)

    def fileno(self) -> int:
        """Return the descriptor that ``spigot worker`` is given."""
        return self._write_end

    def are_told(self) -> bool:
        """Return whether ``spigot worker`` has said how many there are to be, or had its time."""
        if self._plan is None and select.select([self._read_end], [], [], 0)[0]:
            self._plan = json.loads(os.read(self._read_end, 65_536))
        return self._plan is not None or time.monotonic() > self._give_up_at

    def are_up(self) -> bool:
        """Return whether all are up, or have had their time."""
        if time.monotonic() > self._give_up_at:
            return True
        if not self.are_told() or self._plan is None:
            return False
        self._up = self._count(self._plan)
        return self._up >= sum(self._plan.values())

    def in_words(self) -> str:
        """Return how many there are, by bucket."""
        if not self._plan:
            return "none yet"
        total = sum(self._plan.values())
        up = f"{total}" if self._up >= total else f"{self._up} of {total} so far"
        return f"{up}: {', '.join(f'{name} {count}' for name, count in self._plan.items())}"

    def _count(self, plan: Mapping[str, int]) -> int:
        try:
            now_ms = server_us(self._redis) // 1000
            with self._redis.pipeline(transaction=False) as batch:
                for name in plan:
                    batch.zcount(keys.workers(name), now_ms, "+inf")
                counts = batch.execute()
        except RedisError:  # which the workers tell, and are waited for
            return 0
        return sum(min(count, wanted) for count, wanted in zip(counts, plan.values(), strict=True))
