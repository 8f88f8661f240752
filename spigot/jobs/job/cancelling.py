"""Cancels jobs, whether they wait, are delayed or run."""

from dataclasses import dataclass
from typing import Literal, cast

from redis import Redis

from spigot.jobs.store import keys
from spigot.jobs.store.lua_script import load_script
from spigot.jobs.store.times import clock_argument

from .state import JobState, parse_state

Outcome = Literal["cancelled", "stopping", "ended"]


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What came of cancelling a job.

    Attributes:
        outcome: ``cancelled``: it waited and will not run. ``stopping``: it runs, its worker was
            told to stop it, and it will not run again whatever happens. ``ended``: it had ended
            before; nothing was changed.
        job: As it is now.
    """

    outcome: Outcome
    job: JobState


class JobCanceller:
    """Cancels jobs; the decision is one script.

    Args:
        redis: Connection to the server of the queue side.
        keep_seconds: How long a cancelled job is kept, >= 1.
    """

    def __init__(self, redis: Redis, *, keep_seconds: int) -> None:
        self._keep_seconds = keep_seconds
        self._cancel = load_script(redis, __package__, "cancel.lua")

    def cancel(self, job_id: str, *, now_us: int | None = None) -> Cancellation | None:
        """Cancel a job; doing it again is harmless.

        Args:
            job_id: The job.
            now_us: Unix microseconds; None takes the clock of Redis.

        Returns:
            None if there is no such job.

        Raises:
            redis.RedisError: It is unknown whether it was cancelled; do it again.
        """
        if not keys.JOB_ID.fullmatch(job_id):
            return None
        reply = self._cancel(args=[job_id, self._keep_seconds, clock_argument(now_us)])
        job = parse_state(job_id, reply)
        return None if job is None else Cancellation(cast(Outcome, reply[0].decode()), job)
