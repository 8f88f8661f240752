"""A job's page, kept up to date: its texts each second, and at once when the job changes.

Source: the HTML standard, section 9.2.
"""

import json
import time
from math import inf

from werkzeug.datastructures import Headers

from spigot.jobs.job.state import JobState
from spigot.webapp.waiting.event_stream import RECONNECT_MS
from spigot.webapp.waiting.waiting_response import http_head

from .cards import Texts
from .job_model import JobPictures, read_or_none

PERIOD_SECONDS = 1.0


class JobPageStream:
    """Sends what differs from what was sent before, until the job has ended.

    Args:
        job: As it is now.
        pictures: Makes the texts.
    """

    def __init__(self, job: JobState, pictures: JobPictures) -> None:
        self.job_id: str | None = job.id
        self.due = time.monotonic() + PERIOD_SECONDS
        self.wants_job = False
        self.ended = False
        self._pictures = pictures
        self._sent: Texts = {}

    def begin(self, headers: Headers) -> bytes:
        """Send the head; the page was made a moment ago."""
        return http_head("200 OK", headers) + f"retry: {RECONNECT_MS}\n\n".encode()

    def on_job(self, job: JobState | None) -> bytes:
        """Send what has changed; the stream ends with the job."""
        self.wants_job, self.due = False, time.monotonic() + PERIOD_SECONDS
        if job is None:
            self.ended = True
            return b"event: gone\ndata: {}\n\n"
        picture = read_or_none(self._pictures, job)
        if picture is None:
            return b""
        texts = {k: v for k, v in picture.texts.items() if self._sent.get(k) != v}
        self._sent = picture.texts
        self.ended = job.ended
        data = {"texts": texts, "rows": {"steps": picture.steps}, "ended": job.ended}
        return f"event: job\ndata: {json.dumps(data)}\n\n".encode()

    def on_time(self) -> bytes:
        """Have the job read once more, for its present position."""
        self.wants_job, self.due = True, inf
        return b""

    def on_server_away(self) -> bytes:
        """Say so; ask again a second later."""
        self.wants_job, self.due = False, time.monotonic() + PERIOD_SECONDS
        return b"event: away\ndata: {}\n\n"

    def on_stop(self) -> bytes:
        """End the stream: the client comes back."""
        self.ended = True
        return b""
