"""The words in which two of the applications tell where a task is."""

from typing import Any

from spigot import JobState

WORDS = {
    "queued": "PENDING",
    "delayed": "RETRY",
    "started": "STARTED",
    "finished": "SUCCESS",
    "failed": "FAILURE",
    "cancelled": "FAILURE",
}


def task_status(job: JobState) -> dict[str, Any]:
    """Return a task as its client sees it: the result is the error line if it failed."""
    again = job.status == "queued" and job.attempts > 0
    return {
        "task_id": job.id,
        "status": "RETRY" if again else WORDS[job.status],
        "result": job.result if job.error is None else job.error,
    }
