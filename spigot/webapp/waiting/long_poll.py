"""One answer, when the job has ended or the time is over."""

import time
from collections.abc import Callable
from math import inf

from flask import Response
from werkzeug.datastructures import Headers

from spigot.jobs.job.state import JobState
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import away_problem, problem

from .waiting_response import http_head


class LongPoll:
    """One answer, when the job has ended or the time is over.

    Args:
        job: As it is now; it has not ended.
        seconds: How long to wait.
        answer: Makes the answer from the job as it is then.
    """

    def __init__(
        self, job: JobState, seconds: float, answer: Callable[[JobState], Response]
    ) -> None:
        self.job_id: str | None = job.id
        self.due = time.monotonic() + seconds
        self.wants_job = False
        self.ended = False
        self._job = job
        self._answer = answer
        self._headers = Headers()

    def begin(self, headers: Headers) -> bytes:
        """Send nothing yet: the status is not known."""
        self._headers = headers
        return b""

    def on_job(self, job: JobState | None) -> bytes:
        """Answer if the job has ended, or if it is time."""
        if job is None:
            detail = f"job {self.job_id!r} was deleted meanwhile"
            return self._end(problem(404, detail, type=ProblemType.NO_SUCH_JOB))
        self._job = job
        return self._end(self._answer(job)) if job.ended or self.wants_job else b""

    def on_time(self) -> bytes:
        """Have the job read once more, for its present position."""
        self.wants_job, self.due = True, inf
        return b""

    def on_server_away(self) -> bytes:
        """Answer 503 if it is time; else the server may be back before."""
        if not self.wants_job:
            return b""
        return self._end(away_problem())

    def on_stop(self) -> bytes:
        """Answer with what is known."""
        return self._end(self._answer(self._job))

    def _end(self, response: Response) -> bytes:
        self.ended = True
        headers = Headers(self._headers)
        headers.update(response.headers)
        return http_head(response.status, headers) + response.get_data()
