"""Ends an attempt and asks for the next job in one round trip, which each of the two would take."""

from collections.abc import Sequence
from typing import Any, Protocol

from redis.exceptions import RedisError

from spigot.jobs.store.lua_script import Call, call_refused_again, replies_together
from spigot.jobs.store.replica_wait import NotReplicatedError

from .lease_store import LeaseStore


class Asker(Protocol):
    """Whoever wants the next job."""

    def question(self) -> Call | None:
        """Return the question, or None if there is nothing to ask now."""

    def note_reply(self, reply: Any) -> None:
        """Take what the server replied to it; an exception if it refused it."""

    def note_no_reply(self) -> None:
        """Note that nothing is known: the same may be asked again."""

    @property
    def token_in_question(self) -> str | None:
        """Token of the attempt that a question was put for whose reply nobody has read yet."""


class AskingLeases(LeaseStore):
    """Leases whose next end is written with a question behind it.

    The question is put once the end is written, as if it came a moment later; what comes of it
    changes nothing about the end. Ends that wait for replicas go alone: a claim need not wait.

    Args:
        leases: Of the attempt that ends.
        asker: Has the question.
    """

    def __init__(self, leases: LeaseStore, asker: Asker) -> None:
        vars(self).update(vars(leases))  # loading its scripts anew would cost more than a call
        self._asker = asker

    def _call(self, calls: Sequence[Call]) -> tuple[list[Any], NotReplicatedError | None]:
        question = self._asker.question() if self._wait is None else None
        if question is None:
            return super()._call(calls)
        try:
            *replies, reply = replies_together(self.redis, [*calls, question])
        except RedisError:
            self._asker.note_no_reply()
            raise
        self._asker.note_reply(reply)
        call_refused_again(calls, replies)
        return replies, None
