"""An application for the tests: job types of each kind, and a blueprint."""

from flask import Blueprint
from pydantic import BaseModel, Field

from spigot import job_type
from spigot.jobs.bucket.config import BucketConfig
from spigot.webapp.routes.jobs import submit

NUMBERS = {
    "default": BucketConfig(rate="10/s", capacity=3),
    "narrow": BucketConfig(rate="60/m burst 3", capacity=2, max_running=4, workers=5),
}
"""Of its buckets; nothing is published by importing them."""

blueprint = Blueprint("sample", __name__)


class Order(BaseModel):
    """A payload with a name that Python does not allow."""

    sender: str = Field(alias="from")
    amount: float = 1


@job_type("add", log=["x"])
def add(x: int, y: int = 1) -> int:
    """Return the sum."""
    return x + y


@job_type("shout", bucket="narrow", retries=2, timeout=7)
def shout(text: str) -> str:
    """Return the text in capitals."""
    return text.upper()


@job_type("order", payload=Order, log=["sender"])
def order(order: Order) -> str:
    """Return who ordered."""
    return f"{order.sender} {order.amount}"


@job_type("purge", internal=True)
def purge(days: int) -> int:
    """Return how many days; clients cannot ask for it."""
    return days


@blueprint.post("/purge")
def purge_view():
    """Enqueue what clients may not."""
    return submit("purge", {"days": 1})


@blueprint.post("/shout/<text>")
def shout_view(text: str):
    """Enqueue through the helper for applications."""
    return submit("shout", {"text": text}, "low")


@blueprint.get("/broken")
def broken_view():
    """Fail with a secret in the message."""
    raise KeyError("s3cret")
