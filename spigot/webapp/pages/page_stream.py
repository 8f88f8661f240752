"""A page's stream of events: what has changed on it, each second.

Source: the HTML standard, section 9.2.
"""

import time

from werkzeug.datastructures import Headers

from spigot.jobs.job.state import JobState
from spigot.webapp.waiting.event_stream import RECONNECT_MS
from spigot.webapp.waiting.waiting_response import http_head

from .page_feed import PERIOD_SECONDS, PageFeed

HEARTBEAT_LOOKS = 15
"""Proxies close connections that are silent for long."""


class PageStream:
    """Sends what differs from what was sent before.

    Args:
        feed: Of the page's audience.
    """

    job_id: str | None = None

    def __init__(self, feed: PageFeed) -> None:
        self.due = time.monotonic() + PERIOD_SECONDS
        self.wants_job = False
        self.ended = False
        self._feed = feed
        self._number: int | None = None
        self._silent = 0

    def begin(self, headers: Headers) -> bytes:
        """Send the head; the page was made a moment ago."""
        return http_head("200 OK", headers) + f"retry: {RECONNECT_MS}\n\n".encode()

    def on_job(self, job: JobState | None) -> bytes:
        """Send nothing: no job is watched."""
        return b""

    def on_time(self) -> bytes:
        """Send what has changed."""
        self.due = time.monotonic() + PERIOD_SECONDS
        self._number, event = self._feed.after(self._number)
        self._silent = 0 if event else self._silent + 1
        return event or (b":\n\n" if self._silent % HEARTBEAT_LOOKS == 0 else b"")

    def on_server_away(self) -> bytes:
        """Send nothing: the next look says so."""
        return b""

    def on_stop(self) -> bytes:
        """End the stream: the client comes back."""
        self.ended = True
        return b""
