"""Requests: a token bucket in front of the work.

``POST /tasks/process/<x>`` takes a task in at once. Ten tasks begin at once, further ones as
tokens come, two every ten seconds: that is a bucket of rate ``12/m burst 10``. A task without a
token waits in the queue; nothing polls, nothing refills, and nothing can be spent twice.

``GET /tasks/status/<task_id>`` tells where a task is: ``PENDING``, ``STARTED``, ``RETRY``,
``SUCCESS`` with its result, or ``FAILURE`` with the line of its error.
"""

from time import sleep

from flask import Blueprint
from flask.typing import ResponseReturnValue

from spigot import job_type, show_job, submit

from .simulation import Simulation
from .task_status import task_status

blueprint = Blueprint("requests", __name__, url_prefix="/tasks")


@job_type("request", bucket="requests", log=["x"])
def process_request(x: int) -> str:
    """Process one request; this one only takes its time."""
    sleep(Simulation().request_seconds)
    return f"Processed {x}"


@blueprint.post("/process/<int(signed=True):x>")
def process(x: int) -> ResponseReturnValue:
    """Take one task in."""
    return submit("request", {"x": x}, render=lambda job: {"task_id": job.id, "status": "queued"})


@blueprint.get("/status/<task_id>")
def status(task_id: str) -> ResponseReturnValue:
    """Tell where a task is."""
    return show_job(task_id, task_status)
