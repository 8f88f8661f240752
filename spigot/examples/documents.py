"""Documents: slow AI work behind a rate limit.

``POST /process-doc/`` answers at once, and ``rate_limits.json`` lets each client do so five times
a minute. The work leaves the bucket at the rate that the AI service allows. A client is told when
its document is done: by asking, by asking with ``?wait=30``, or by server-sent events.
"""

from time import sleep

from flask import Blueprint, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict

from spigot import JobState, job_type, read_model, report_progress, show_job, submit

from .simulation import Simulation
from .task_status import task_status

STEPS = ("reading", "asking the AI", "writing the summary")
DOCUMENTS = {
    f"doc_{number}": f"report-{number}.{'pdf' if number % 2 else 'docx'}"
    for number in range(1, 101)
}
"""File by id: the documents that there are."""

blueprint = Blueprint("documents", __name__)


class Document(BaseModel):
    """Which document is to be processed."""

    model_config = ConfigDict(extra="forbid", strict=True)

    doc_id: str


@job_type("document", bucket="documents", payload=Document, log=["doc_id"])
def process_document(document: Document) -> dict[str, str]:
    """Summarise one document; this one only takes its time.

    Raises:
        FileNotFoundError: There is no document of that id.
    """
    file = DOCUMENTS.get(document.doc_id)
    if file is None:
        raise FileNotFoundError(f"there is no document {document.doc_id!r}")
    for done, step in enumerate(STEPS):
        report_progress(done, len(STEPS), step)
        sleep(Simulation().document_seconds / len(STEPS))
    return {"doc_id": document.doc_id, "file": file, "summary": f"what stands in {file}"}


@blueprint.post("/process-doc/")
def process() -> ResponseReturnValue:
    """Take one document in."""
    return submit("document", read_model(Document).model_dump(), render=_links)


@blueprint.get("/task-status/<task_id>")
def status(task_id: str) -> ResponseReturnValue:
    """Tell where a document is; with ``?wait=S``, once it is done or S seconds are over."""
    return show_job(task_id, task_status)


def _links(job: JobState) -> dict[str, str]:
    """Return what the client needs to follow the work."""
    return {
        "task_id": job.id,
        "status": "PENDING",
        "status_url": url_for("documents.status", task_id=job.id),
        "events_url": url_for("job.events", job_id=job.id),
    }
