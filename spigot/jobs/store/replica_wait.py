"""Waits until replicas have what a script wrote, so that a failover does not lose it.

``WAIT`` counts the replicas that have the last write of its own connection. Inside of a script or
of MULTI it does not wait, and a connection that wrote nothing is told that all have it. So script,
a write of our own and ``WAIT`` go to the server in one packet, on one connection: that write also
stands for what another connection wrote before, such as the job of an earlier request.
Source: https://redis.io/docs/latest/commands/wait/; tried on Redis 7.0 and Valkey 9.1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.commands.core import Script
from redis.exceptions import TimeoutError

from spigot.runtime.settings import Settings

from . import keys
from .lua_script import Call, add_calls, call_refused_again

KEPT_SECONDS = 60


class NotReplicatedError(TimeoutError):
    """Too few replicas have what was written; it stands on the primary all the same.

    Asking again under the same idempotency key or id is safe, and waits again.
    """


@dataclass(frozen=True, slots=True)
class ReplicaWait:
    """How many replicas must have a write, and how long that may take.

    Attributes:
        replicas: At least 1.
        seconds: After which it is given up; the connection's timeout must be longer.
    """

    replicas: int
    seconds: float

    def call(
        self, script: Script, keys_: Sequence[Any], args: Sequence[Any]
    ) -> tuple[Any, NotReplicatedError | None]:
        """Call a script, and wait.

        Returns:
            Its reply, and the error to raise if what it says must be on so many replicas.

        Raises:
            redis.RedisError: It is unknown whether the script ran.
        """
        redis: Any = script.registered_client
        (reply,), not_replicated = self.call_together(redis, [(script, keys_, args)])
        return reply, not_replicated

    def call_together(
        self, redis: Redis, calls: Sequence[Call]
    ) -> tuple[list[Any], NotReplicatedError | None]:
        """Call scripts in one round trip, and wait once for what all of them wrote.

        Args:
            redis: Connection that they run on.
            calls: Scripts with their keys and arguments, in this order.

        Returns:
            Their replies, and the error as ``call`` returns it.

        Raises:
            redis.RedisError: It is unknown which of them ran.
        """
        with redis.pipeline(transaction=False) as pipeline:
            add_calls(pipeline, calls)
            self._wait_in(pipeline)
            answers = pipeline.execute(raise_on_error=False)
            replies, waited = answers[: len(calls)], answers[len(calls) :]
            if call_refused_again(calls, replies):
                self._wait_in(pipeline)
                waited = pipeline.execute(raise_on_error=False)
        for answer in waited:
            if isinstance(answer, Exception):
                raise answer
        return replies, self._verdict(waited[-1])

    def try_once(self, redis: Redis) -> NotReplicatedError | None:
        """Write a key of our own, and wait for it.

        Returns:
            The error that an enqueued job would raise now; None if enough replicas follow.

        Raises:
            redis.RedisError: The server is away, or lets its user not wait.
        """
        return self.call_together(redis, [])[1]

    def _wait_in(self, pipeline: Any) -> None:
        pipeline.set(keys.replicated(), 1, ex=KEPT_SECONDS)
        pipeline.wait(self.replicas, max(1, round(self.seconds * 1000)))

    def _verdict(self, reached: int) -> NotReplicatedError | None:
        if reached >= self.replicas:
            return None
        return NotReplicatedError(
            f"only {reached} of {self.replicas} replicas had it after {self.seconds:g} s"
        )


def wait_from(settings: Settings) -> ReplicaWait | None:
    """Return what the settings ask for."""
    if not settings.wait_replicas:
        return None
    return ReplicaWait(settings.wait_replicas, settings.wait_seconds)
