"""An application as its author would test it: job types, a view, a door."""

from pathlib import Path

from flask import Flask
from flask.typing import ResponseReturnValue

from spigot import Door, RateLimited, RetryPolicy, enqueue, job_type, rate_limit, report_progress

attempts: list[str] = []
"""What ran, in order; tests clear it."""


@job_type("summary", bucket="ai", retries=RetryPolicy(retries=2, delay=60))
def summarise(doc_id: str, fails: int = 0, refusals: int = 0) -> dict[str, str]:
    """Fail, and be refused, as often as it is asked to."""
    attempts.append(doc_id)
    count = attempts.count(doc_id)
    if count <= refusals:
        raise RateLimited(300)
    if count <= refusals + fails:
        raise RuntimeError("not yet")
    report_progress(1, 1, "done")
    return {"doc_id": doc_id, "summary": "short"}


@job_type("chain")
def chain(left: int) -> int:
    """Enqueue the next of a chain of jobs."""
    attempts.append(f"chain-{left}")
    if left:
        enqueue("chain", {"left": left - 1})
    return left


@job_type("split")
def split(parts: int) -> None:
    """Enqueue many jobs, of two buckets."""
    for part in range(parts):
        enqueue("chain", {"left": 0})
        enqueue("summary", {"doc_id": f"part-{part}"})


@job_type("endless")
def endless() -> None:
    """Be refused for ever."""
    raise RateLimited(1)


@job_type("ping", bucket="ai")
def ping() -> None:
    """Enqueue a job of another bucket, which enqueues this one."""
    enqueue("pong")


@job_type("pong")
def pong() -> None:
    """Do so too."""
    enqueue("ping")


def create_app(rules: Path) -> Flask:
    """Build the application, with its door in front."""
    app = Flask("tested")
    Door(app, rules=rules)

    @app.post("/ask/<doc_id>")
    @rate_limit("ask")
    def ask(doc_id: str) -> ResponseReturnValue:
        """Enqueue one summary."""
        job = enqueue("summary", {"doc_id": doc_id}, priority="high")
        return {"id": job.id, "status": job.status, "result": job.result}, 202

    return app
