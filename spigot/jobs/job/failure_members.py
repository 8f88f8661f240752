"""The failed jobs of one group of failures, and how they are let run again."""

from collections.abc import Iterator
from dataclasses import dataclass

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.stored_values import stored_text, unless_spoilt

from .failures import FailureGroup
from .queue import BucketRefusal
from .requeueing import JobRequeuer
from .state import JobState

MOST_LOOKED_AT = 2000
MOST_REQUEUED = 500
"""Jobs that one request lets wait again: the next request takes the rest."""

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class RequeuedGroup:
    """What came of requeueing jobs of a group.

    Attributes:
        requeued: How many wait again.
        more: Whether there may be others.
        refused: Why the others were left; None if the bucket had room.
    """

    requeued: int
    more: bool
    refused: BucketRefusal | None


class FailureMembers:
    """Finds and requeues the jobs of a group.

    All methods may raise ``redis.RedisError``.

    Args:
        redis: Connection to the server of the queue side.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._requeuer = JobRequeuer(redis)

    def ids(self, group: FailureGroup, limit: int) -> list[str]:
        """Return ids of failed jobs of the group, those that failed last first."""
        found: list[str] = []
        for job_id in self._candidates(group):
            found.append(job_id)
            if len(found) == limit:
                break
        return found

    def requeue(self, group: FailureGroup, only: list[str] | None = None) -> RequeuedGroup:
        """Let jobs of the group wait again.

        Args:
            group: The group.
            only: Ids of some of them; None: all.
        """
        ids = self.ids(group, MOST_REQUEUED + 1)
        chosen = ids[:MOST_REQUEUED] if only is None else [i for i in ids if i in only]
        requeued = 0
        for job_id in chosen:
            match self._requeuer.requeue(job_id):
                case BucketRefusal() as refusal:
                    return RequeuedGroup(requeued, more=True, refused=refusal)
                case JobState():
                    requeued += 1
        return RequeuedGroup(requeued, more=len(ids) > len(chosen), refused=None)

    def _candidates(self, group: FailureGroup) -> Iterator[str]:
        looked = 0
        for queue in keys.queue_names(group.bucket):
            start = 0
            while looked < MOST_LOOKED_AT and (found := self._slice(queue, start)):
                yield from self._of_group(found, group.id)
                looked += len(found)
                start += len(found)

    def _slice(self, queue: str, start: int) -> list[str]:
        key = keys.failed(queue)
        found = unless_spoilt(
            lambda: self._redis.zrange(key, start, start + AT_ONCE - 1, desc=True), []
        )
        return [stored_text(job_id) for job_id in found]

    def _of_group(self, ids: list[str], group_id: str) -> Iterator[str]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hmget(keys.job(job_id), "spigot_failure", "status")
            found = pipeline.execute(raise_on_error=False)
        for job_id, values in zip(ids, found, strict=True):
            if isinstance(values, list) and values == [group_id.encode(), b"failed"]:
                yield job_id
