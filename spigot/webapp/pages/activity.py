"""What happens now: the jobs that run, those that ended last, and who is turned away, as JSON."""

from dataclasses import asdict, dataclass

from flask import Blueprint, Flask, current_app
from flask.typing import ResponseReturnValue
from redis import Redis, RedisError

from spigot.jobs.job.latest_ended import USUAL_KEEP_SECONDS
from spigot.jobs.job.listing import JobLister
from spigot.jobs.job.state import JobState, Status
from spigot.jobs.store.times import Moment
from spigot.jobs.types.progress import Progress
from spigot.webapp.door.rate_limits.refused_clients import Refused, most_refused
from spigot.webapp.http.admin import require_admin
from spigot.webapp.http.description import Answer, described

blueprint = Blueprint("activity", __name__)

SHOWN = 15
"""Lines of each list, so that a look costs as little with many jobs."""


@dataclass(frozen=True, slots=True)
class JobLine:
    """A job in a list: what is short of it.

    Attributes:
        attempts: Starts so far, of any kind.
        progress: How far it is, as it reported last.
        error: One line with the exception's name.
    """

    id: str
    type: str
    bucket: str
    status: Status
    attempts: int
    progress: Progress | None
    started_at: Moment | None
    ended_at: Moment | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Activity:
    """What happens now.

    Attributes:
        running: Jobs that run.
        ended: Jobs that ended last, the latest first.
        refused: Who was refused most at the door in the last hour; None if its server is away.
    """

    running: list[JobLine]
    ended: list[JobLine]
    refused: list[Refused] | None


def init_app(app: Flask, redis: Redis, limits_redis: Redis, keep_seconds: int) -> None:
    """Serve it; called by ``create_app``.

    Args:
        app: Has an ``Admin``.
        redis: Connection to the server of the queue side.
        limits_redis: Connection to the server of the door.
        keep_seconds: How long ended jobs are kept.
    """
    app.extensions["activity"] = ActivityReader(redis, limits_redis, keep_seconds)
    app.register_blueprint(blueprint)


@blueprint.get("/api/activity")
@described({200: Answer("What happens now.", Activity)}, for_admin=True)
def activity() -> ResponseReturnValue:
    """Show which jobs run and which ended last, and who is refused at the door."""
    require_admin()
    reader: ActivityReader = current_app.extensions["activity"]
    return asdict(reader.read()), {"Cache-Control": "no-store"}


class ActivityReader:
    """Reads what happens, in a few round trips whatever the number of jobs.

    Args:
        redis: Connection to the server of the queue side.
        limits_redis: Connection to the server of the door.
        keep_seconds: How long ended jobs are kept.
    """

    def __init__(
        self, redis: Redis, limits_redis: Redis, keep_seconds: int = USUAL_KEEP_SECONDS
    ) -> None:
        self._lister = JobLister(redis, keep_seconds)
        self._limits_redis = limits_redis

    def read(self) -> Activity:
        """Return what happens now.

        Raises:
            redis.RedisError: The server of the queue side did not answer.
        """
        buckets = self._lister.bucket_names()
        running = self._lister.page(["started"], buckets, limit=SHOWN).jobs
        ended = [
            job
            for status in ("finished", "failed", "cancelled")
            for job in self._lister.page([status], buckets, limit=SHOWN).jobs
        ]
        ended.sort(key=lambda job: job.ended_at or "", reverse=True)
        return Activity(_lines(running), _lines(ended[:SHOWN]), self._refused())

    def _refused(self) -> list[Refused] | None:
        try:
            return most_refused(self._limits_redis, SHOWN)
        except RedisError:  # the door does without it, and so does whoever watches the jobs
            return None


def _lines(jobs: list[JobState]) -> list[JobLine]:
    return [
        JobLine(**{name: getattr(job, name) for name in JobLine.__dataclass_fields__})
        for job in jobs
    ]
