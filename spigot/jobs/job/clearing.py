"""Clears RQ's lists of jobs: what waits there is cancelled, what has ended is forgotten."""

from typing import Literal

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.stored_values import stored_text

from .cancelling import JobCanceller

AT_ONCE = 200
"""Entries that one script looks at, so that it keeps no other from the server for long."""

Place = Literal["queued", "scheduled", "deferred", "started", "finished", "failed", "canceled"]
"""RQ's lists of a queue's jobs; what a bucket delays is scheduled in the queue of its name."""

Deletion = Literal["forgotten", "cancelled", "stopping"]


class JobClearer:
    """Deletes jobs without losing one that was accepted: before its end it is cancelled instead.

    Args:
        redis: Connection to the server of the queue side.
        keep_seconds: How long a cancelled job is kept, >= 1.
        by: Who wants it.
    """

    def __init__(self, redis: Redis, *, keep_seconds: int, by: str) -> None:
        self._redis = redis
        self._keep_seconds = keep_seconds
        self._by = by
        self._canceller = JobCanceller(redis, keep_seconds=keep_seconds)
        self._forget = load_script(redis, __package__, "forget.lua")
        self._empty = load_script(redis, __package__, "empty.lua")
        self._compact = load_script(redis, __package__, "compact.lua")

    def delete(self, job_id: str) -> Deletion | None:
        """Forget a job that has ended, cancel any other.

        Returns:
            What was done; None if there is no such job.

        Raises:
            redis.RedisError: It is unknown whether it was done; doing it again is harmless.
        """
        cancellation = self._canceller.cancel(job_id)
        if cancellation is None:
            return None
        if cancellation.outcome != "ended":
            return cancellation.outcome
        return "forgotten" if self._forget(args=[job_id]) else None

    def empty(self, queue: str, place: Place) -> int:
        """Delete all jobs that are in one place now, in steps that leave the server to others.

        Args:
            queue: Name of a queue; ``NAME-high`` is another than ``NAME``.
            place: Of its lists.

        Returns:
            How many entries there were.

        Raises:
            redis.RedisError: Some are left; doing it again deletes them.
        """
        if place == "started":
            return self._stop_running(queue)
        count, left = 0, self._size(queue, place)
        while left > 0:
            taken: int = self._empty(
                args=[queue, place, self._keep_seconds, self._by, min(AT_ONCE, left), ""]
            )
            count, left = count + taken, left - (taken or left)
        return count

    def compact(self, queue: str) -> int:
        """Take entries without a job out of a queue.

        Returns:
            How many there were.

        Raises:
            redis.RedisError: Some are left; doing it again takes them out.
        """
        end, index, count = self._size(queue, "queued"), 0, 0
        while index < end:
            looked, missing, removed = self._compact(args=[queue, index, AT_ONCE])
            if not looked:
                break
            count, index, end = count + missing, index + looked - removed, end - removed
        return count

    def _size(self, queue: str, place: Place) -> int:
        if place == "queued":
            return self._redis.llen(keys.queue(queue))
        ours = self._redis.zcard(keys.delayed(queue)) if place == "scheduled" else 0
        return ours + self._redis.zcard(f"rq:{place}:{queue}")

    def _stop_running(self, queue: str) -> int:
        """Running jobs are as few as workers, so each is stopped by itself."""
        entries: list[bytes] = self._redis.zrange(keys.running(queue), 0, -1)  # type: ignore[assignment]  # no scores
        for entry in entries:
            self._canceller.cancel(stored_text(entry).partition(":")[0])
        return len(entries)
