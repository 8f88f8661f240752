"""Messages of a phone app: a queue of fixed size that is drained at a steady rate.

``POST /enqueue`` takes one message and answers at once. The most urgent messages are processed
first, one per leak of the bucket, and the result log keeps each for audit.
"""

from flask import Blueprint
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, PositiveInt

from spigot import Priority, job_type, read_model, submit

blueprint = Blueprint("messages", __name__)


class Message(BaseModel):
    """What the app sends."""

    model_config = ConfigDict(strict=True)

    id: int
    job_priority: PositiveInt
    job_type: int
    job_publisher: str
    data: str


@job_type(
    "message",
    payload=Message,
    log=["id", "job_publisher", "job_type", "job_priority", "data"],
)
def process_message(message: Message) -> str:
    """Process one message; this one only says so."""
    return f"processed message {message.id} from {message.job_publisher}"


@blueprint.post("/enqueue")
def enqueue_message() -> ResponseReturnValue:
    """Take one message in."""
    message = read_model(Message)
    return submit("message", message.model_dump(), _priority_of(message))


def _priority_of(message: Message) -> Priority:
    """Return the queue for 1 (high), 2 (default) or anything above (low)."""
    urgent: dict[int, Priority] = {1: "high", 2: "default"}
    return urgent.get(message.job_priority, "low")
