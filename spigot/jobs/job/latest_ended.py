"""The jobs that ended last, out of RQ's registries, which are sorted by expiry.

A registry's score is the end plus the time that the job is kept, and that differs: plain RQ keeps
its jobs for other times, and the setting may change. So jobs are looked at where those that ended
just now are for each usual time, and sorted by the end that they tell.
"""

import time
from collections.abc import Sequence

from redis import Redis

from spigot.jobs.store import keys

MOST_BY_END = 1000
"""So many jobs are sorted by their end; a list that goes further is in the order of expiry."""

USUAL_KEEP_SECONDS = 86400

RQ_KEEP_SECONDS = (500, 365 * 86400)
"""How long plain RQ keeps results and failures, if nobody says otherwise."""

Entry = tuple[float | str, str]
"""What jobs are sorted by, and a job's id."""

FEWEST_LOOKED_AT = 100


class LatestEnded:
    """Finds the jobs that ended last.

    Exact for registries of up to 100 jobs, or four times as many as are wanted; beyond that, a job
    that is kept for an unusual time may be missed.

    Args:
        redis: Connection to the server of the queue side.
        keep_seconds: How long ended jobs are kept.
    """

    def __init__(self, redis: Redis, keep_seconds: int) -> None:
        self._redis = redis
        self._kept = {keep_seconds, USUAL_KEEP_SECONDS, *RQ_KEEP_SECONDS}

    def entries(self, registries: Sequence[str], limit: int) -> tuple[list[Entry], int]:
        """Return end and id of the ``limit`` latest, and how many jobs there are.

        Two round trips, whatever the number of jobs.
        """
        looked_at = max(FEWEST_LOOKED_AT, 4 * limit)
        now = time.time()
        with self._redis.pipeline(transaction=False) as pipeline:
            for key in registries:
                pipeline.zcard(key)
                pipeline.zrevrange(key, 0, looked_at - 1)
                for seconds in self._kept:
                    pipeline.zrevrangebyscore(key, now + seconds, "-inf", 0, looked_at)
            replies = pipeline.execute(raise_on_error=False)  # a stranger's key is no registry
        each = 2 + len(self._kept)
        counts = [count for count in replies[::each] if isinstance(count, int)]
        lists = [found for found in replies if isinstance(found, list)]
        ids = list(
            dict.fromkeys(job_id.decode(errors="replace") for found in lists for job_id in found)
        )
        return self._sorted(ids)[:limit], sum(counts)

    def _sorted(self, ids: list[str]) -> list[Entry]:
        with self._redis.pipeline(transaction=False) as pipeline:
            for job_id in ids:
                pipeline.hget(keys.job(job_id), "ended_at")
            found = pipeline.execute(raise_on_error=False)  # a stranger's key is no job
        ends = [end.decode(errors="replace") if isinstance(end, bytes) else "" for end in found]
        return sorted(zip(ends, ids, strict=True), reverse=True)
