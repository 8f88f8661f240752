"""Streams of a job's changes, as a browser reads them."""

import json
from dataclasses import replace

from spigot.jobs.job.state import JobState

JOB = JobState(
    "id-1", "echo", "queued", "default", "default", 1, None, None, 0, None, None, None, None, None,
    None, revision=1,
)  # fmt: skip
"""One that waits."""


def after(revision: int, status: str = "started") -> JobState:
    """Return the job as it is after another change."""
    return replace(JOB, revision=revision, status=status)


def parsed(text: bytes) -> list[dict]:
    """Read events as a browser does."""
    events = []
    for block in text.decode().split("\n\n"):
        fields = dict(
            line.split(": ", 1) for line in block.split("\n") if line[:1] not in ("", ":")
        )
        if "data" in fields:
            events.append({**fields, "data": json.loads(fields["data"])})
    return events
