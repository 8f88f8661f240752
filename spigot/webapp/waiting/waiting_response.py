"""A response that is sent bit by bit, or late, to a client that waits for a job.

It knows nothing of sockets and threads: its methods are called when something happens, and return
the bytes to send.
Source: RFC 9112, section 6.3 (a body that ends with the connection).
"""

from email.utils import formatdate
from typing import Protocol

from werkzeug.datastructures import Headers

from spigot.jobs.job.state import JobState


class WaitingResponse(Protocol):
    """The response on one connection.

    Attributes:
        job_id: Of the job that the client waits for; None if it watches something else.
        due: Monotonic seconds at which ``on_time`` is to be called.
        wants_job: Whether the job must be read now, changed or not.
        ended: Whether nothing more will be sent.
    """

    job_id: str | None
    due: float
    wants_job: bool
    ended: bool

    def begin(self, headers: Headers) -> bytes:
        """Return what to send first.

        Args:
            headers: Of the answer, as the application completed them.
        """
        ...

    def on_job(self, job: JobState | None) -> bytes:
        """Return what to send of the job as it is now; None: it is gone."""
        ...

    def on_time(self) -> bytes:
        """Return what to send when ``due`` has come."""
        ...

    def on_server_away(self) -> bytes:
        """Return what to send when the job cannot be read."""
        ...

    def on_stop(self) -> bytes:
        """Return what to send before this process ends."""
        ...


def http_head(status: str, headers: Headers) -> bytes:
    """Return status line and headers of an answer after which the connection is closed."""
    own = {"Connection": "close", "Date": formatdate(usegmt=True)}
    lines = [f"{name}: {value}" for name, value in [*headers.items(), *own.items()]]
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1")
