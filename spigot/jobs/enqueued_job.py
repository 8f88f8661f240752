"""A job in the hands of the program that enqueued it."""

import time
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .job.state import JobState, Status
    from .types.progress import Progress


class JobGone(LookupError):
    """There is no such job any more: it ended long ago, or somebody deleted it."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id!r} any more")


class Jobs(Protocol):
    """Where the job is: ``Program``, or what stands in for it in tests."""

    def read(self, job_id: str) -> "JobState | None":
        """Return the job as it is now; None if there is none of that id."""
        ...

    def follow(self, job_id: str, until: float) -> "Iterator[JobState | None]":
        """Yield the job now and at each change, until it has ended or ``time.monotonic()`` is."""
        ...

    def cancel(self, job_id: str) -> "JobState | None":
        """Cancel the job; None if there is none of that id."""
        ...


class EnqueuedJob:
    """One job, as it was when it was last read; ``refresh``, ``wait`` and ``cancel`` read it.

    Args:
        state: What is known of it.
        jobs: Where it is.
    """

    def __init__(self, state: "JobState", jobs: Jobs) -> None:
        self._state = state
        self._jobs = jobs

    def __repr__(self) -> str:
        return f"<job {self.id}: {self.type}, {self.status}>"

    def refresh(self) -> "EnqueuedJob":
        """Read the job anew.

        Returns:
            This job.

        Raises:
            JobGone: It is kept no longer.
            redis.RedisError: The server did not answer; what was known stays.
        """
        return self._take(self._jobs.read(self.id))

    def wait(self, seconds: float) -> "EnqueuedJob":
        """Wait until the job has ended, but no longer than ``seconds``; ``ended`` tells which.

        A job that waits for another job of its own bucket and worker takes a worker's place
        meanwhile: with one worker it waits in vain.

        Returns:
            This job.

        Raises:
            JobGone: It is kept no longer.
            redis.RedisError: The server did not answer, at the first look.
        """
        for state in self._jobs.follow(self.id, time.monotonic() + seconds):
            self._take(state)
        return self

    def cancel(self) -> "EnqueuedJob":
        """Cancel the job; one that has ended stays as it is.

        One that waits is cancelled at once. One that runs is stopped by its worker and will not
        run again: ``wait`` tells when it has ended.

        Returns:
            This job.

        Raises:
            JobGone: It is kept no longer.
            redis.RedisError: It is unknown whether it was cancelled; do it again.
        """
        return self._take(self._jobs.cancel(self.id))

    def _take(self, state: "JobState | None") -> "EnqueuedJob":
        if state is None:
            raise JobGone(self.id)
        self._state = state
        return self

    @property
    def id(self) -> str:
        """Its name: whoever has it may look at the job and cancel it."""
        return self._state.id

    @property
    def type(self) -> str:
        """Name of its job type."""
        return self._state.type

    @property
    def status(self) -> "Status":
        """``queued``, ``delayed``, ``started``, ``finished``, ``failed`` or ``cancelled``."""
        return self._state.status

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it by itself."""
        return self._state.ended

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self._state.bucket

    @property
    def priority(self) -> str:
        """``high``, ``default`` or ``low``."""
        return self._state.priority

    @property
    def position(self) -> int | None:
        """1 for the next job to leave the bucket; None once it has left."""
        return self._state.position

    @property
    def estimated_start_at(self) -> str | None:
        """When it should start (RFC 3339); None once it has, or while its bucket is paused."""
        return self._state.estimated_start_at

    @property
    def estimated_start_in(self) -> float | None:
        """The same in seconds from when it was read."""
        return self._state.estimated_start_in

    @property
    def attempts(self) -> int:
        """Starts so far, of any kind."""
        return self._state.attempts

    @property
    def enqueued_at(self) -> str | None:
        """When it was enqueued (RFC 3339)."""
        return self._state.enqueued_at

    @property
    def started_at(self) -> str | None:
        """When its last attempt started (RFC 3339)."""
        return self._state.started_at

    @property
    def ended_at(self) -> str | None:
        """When it ended (RFC 3339); None before."""
        return self._state.ended_at

    @property
    def progress(self) -> "Progress | None":
        """How far it is, as its function reported last."""
        return self._state.progress

    @property
    def result(self) -> Any:
        """What its function returned, as JSON; None before."""
        return self._state.result

    @property
    def error(self) -> str | None:
        """One line with the exception's name; of a job that waits, why it is run again."""
        return self._state.error

    def to_json(self) -> dict[str, Any]:
        """Return the job as the HTTP interface shows it."""
        return self._state.to_json()
