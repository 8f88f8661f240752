"""Whether Spigot works: ``/api/status`` for people, ``/livez`` and ``/readyz`` for machines."""

from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Literal

from flask import Blueprint, current_app
from flask.typing import ResponseReturnValue
from redis import Redis

from spigot.jobs.bucket.state import BucketReader, BucketState
from spigot.jobs.store.primary_watch import ask_for_writes
from spigot.webapp.http.description import Answer, described

blueprint = Blueprint("status", __name__)


@dataclass(frozen=True, slots=True)
class Health:
    """That all is well.

    Attributes:
        status: Always ``ok``; a problem document says what else.
    """

    status: Literal["ok"]


OK = Health("ok")


@dataclass(frozen=True, slots=True)
class Server:
    """The server that keeps the jobs.

    Attributes:
        answered_in: Seconds that it took to answer.
    """

    answered_in: float


@dataclass(frozen=True, slots=True)
class Status:
    """What there is to know at one glance.

    Attributes:
        status: Always ``ok``; a problem document says what else.
        server: The server that keeps the jobs.
        buckets: All buckets, by name.
    """

    status: Literal["ok"]
    server: Server
    buckets: list[BucketState]


@blueprint.get("/api/status")
@described({200: Answer("All is well.", Status)})
def status() -> ResponseReturnValue:
    """Tell how long the server takes to answer, and what is in the buckets."""
    answered_in = _answer_seconds()
    reader: BucketReader = current_app.extensions["bucket_reader"]
    return asdict(Status("ok", Server(answered_in), reader.read_all()))


@blueprint.get("/livez")
@described({200: Answer("The web process lives.", Health)}, needs_server=False)
def livez() -> ResponseReturnValue:
    """Answer as long as the web process does, whatever the server is doing."""
    return asdict(OK)


@blueprint.get("/readyz")
@described({200: Answer("Requests are served.", Health)})
def readyz() -> ResponseReturnValue:
    """Answer 200 if requests can be served now, jobs taken in included."""
    _answer_seconds()
    return asdict(OK)


def _answer_seconds() -> float:
    """Ask the server what it would not do as a replica, without disk or memory; all answer PING."""
    redis: Redis = current_app.extensions["redis"]
    began = perf_counter()
    ask_for_writes(redis)
    return perf_counter() - began
