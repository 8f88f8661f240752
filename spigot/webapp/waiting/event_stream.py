"""A job's changes as server-sent events.

Source: the HTML standard, section 9.2.
"""

import json
import time
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import WithJsonSchema
from werkzeug.datastructures import Headers

from spigot.jobs.job.state import JobState

from .waiting_response import http_head

HEARTBEAT_SECONDS = 15.0
"""A stream sends something that often: proxies close silent connections, often after a minute."""

RECONNECT_MS = 2000
"""When a client whose stream broke comes back."""


def event_id(job: JobState) -> int:
    """Return a number that grows with each change of a job.

    Plain RQ cancels jobs without counting the change, so an end counts by itself.
    """
    return 2 * job.revision + job.ended


@dataclass(frozen=True, slots=True)
class StatusEvent:
    """One change of a job.

    Attributes:
        id: Grows with each change.
        event: Always ``status``.
        data: The job as JSON.
    """

    id: str
    event: Literal["status"]
    data: Annotated[str, WithJsonSchema({"type": "string", "contentMediaType": "application/json"})]

    def encode(self) -> bytes:
        """Return it as it is sent."""
        return f"id: {self.id}\nevent: {self.event}\ndata: {self.data}\n\n".encode()


def event(job: JobState) -> bytes:
    """Return the job as one event."""
    return StatusEvent(str(event_id(job)), "status", json.dumps(job.to_json())).encode()


class EventStream:
    """One event per change, until the job has ended.

    Args:
        job: As it is now.
        last_id: Of the last event that the client got; None for none.
    """

    def __init__(self, job: JobState, last_id: int | None = None) -> None:
        self.job_id: str | None = job.id
        self.due = time.monotonic() + HEARTBEAT_SECONDS
        self.wants_job = False
        self.ended = False
        self._job = job
        self._last_id = last_id

    def begin(self, headers: Headers) -> bytes:
        """Send the head, and the job as it was when the client asked."""
        opening = http_head("200 OK", headers) + f"retry: {RECONNECT_MS}\n\n".encode()
        return opening + self.on_job(self._job)

    def on_job(self, job: JobState | None) -> bytes:
        """Send a change once; the stream ends with the job."""
        self.ended = job is None or job.ended
        if job is None or event_id(job) == self._last_id:
            return b""
        self._last_id = event_id(job)
        return event(job)

    def on_time(self) -> bytes:
        """Send a comment, which clients ignore."""
        self.due = time.monotonic() + HEARTBEAT_SECONDS
        return b":\n\n"

    def on_server_away(self) -> bytes:
        """Send nothing: the next change follows when the server is back."""
        return b""

    def on_stop(self) -> bytes:
        """End the stream: the client comes back with the id of its last event."""
        self.ended = True
        return b""
