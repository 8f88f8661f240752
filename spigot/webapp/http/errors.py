"""Answers every error with a problem document; nothing of the server's inside leaves."""

import logging

from flask import Flask, Response
from redis import RedisError
from werkzeug.exceptions import HTTPException

from spigot.jobs.bucket.configuring import NewerBucketError
from spigot.jobs.budgets.declared_cost import CostExceedsBurst, InvalidCost
from spigot.jobs.store.replica_wait import NotReplicatedError
from spigot.jobs.types.job_catalog import UnknownJobType
from spigot.jobs.types.payloads import InvalidPayload
from spigot.runtime.server.redis_connection import is_away
from spigot.runtime.server.server_faults import explain, is_denied

from .problem_types import ProblemType
from .problems import AWAY_RETRY_SECONDS, away_problem, problem
from .request_body import InvalidBody

log = logging.getLogger(__name__)

UPGRADE_SECONDS = 30
"""What clients are told while processes of two versions serve them."""


def init_app(app: Flask) -> None:
    """Register the handlers; called by ``create_app``."""
    app.register_error_handler(HTTPException, http_problem)
    app.register_error_handler(InvalidBody, invalid_problem)
    app.register_error_handler(InvalidPayload, invalid_problem)
    app.register_error_handler(InvalidCost, invalid_cost_problem)
    app.register_error_handler(CostExceedsBurst, too_costly_problem)
    app.register_error_handler(UnknownJobType, unknown_job_type_problem)
    app.register_error_handler(NewerBucketError, newer_bucket_problem)
    app.register_error_handler(NotReplicatedError, not_replicated_problem)
    app.register_error_handler(RedisError, server_problem)
    app.register_error_handler(Exception, unexpected_problem)


def http_problem(error: HTTPException) -> Response:
    """Keep status and headers such as ``Allow``, replace the HTML body."""
    if isinstance(error.response, Response):
        return error.response
    headers = {name: value for name, value in error.get_headers() if name != "Content-Type"}
    return problem(error.code or 500, error.description or "", headers=headers)


def invalid_problem(error: InvalidBody | InvalidPayload) -> Response:
    """Say which fields are wrong and why."""
    of_payload = isinstance(error, InvalidPayload)
    kind = ProblemType.INVALID_PAYLOAD if of_payload else ProblemType.INVALID_BODY
    return problem(422, str(error), type=kind, errors=error.errors)


def invalid_cost_problem(error: InvalidCost) -> Response:
    """Say what is wrong with what the job type makes of the payload's cost."""
    return problem(422, str(error), type=ProblemType.INVALID_COST)


def too_costly_problem(error: CostExceedsBurst) -> Response:
    """Say how much a job of this bucket may cost."""
    return problem(
        422,
        str(error),
        type=ProblemType.COST_EXCEEDS_BURST,
        bucket=error.bucket,
        budget=error.budget,
        cost=error.cost,
        largest_cost=error.largest,
    )


def unknown_job_type_problem(error: UnknownJobType) -> Response:
    """List the job types that there are."""
    return problem(422, str(error), type=ProblemType.UNKNOWN_JOB_TYPE, known=error.known)


def newer_bucket_problem(error: NewerBucketError) -> Response:
    """Say that this process is too old for a bucket; while a fleet is upgraded, others are not."""
    return problem(503, str(error), headers={"Retry-After": str(UPGRADE_SECONDS)})


def not_replicated_problem(error: NotReplicatedError) -> Response:
    """Say that the job stands, but that a failover could lose it."""
    log.warning("a job is not on the replicas: %s", error)
    return problem(
        503,
        "too few replicas have the job yet, and it may run all the same; send it again under the "
        "same Idempotency-Key",
        type=ProblemType.NOT_REPLICATED,
        headers={"Retry-After": str(AWAY_RETRY_SECONDS)},
    )


def server_problem(error: RedisError) -> Response:
    """Tell a server that is away, which passes, from a fault of ours."""
    if is_denied(error):
        log.error("the server %s", explain(error))
        return away_problem()
    if not is_away(error):
        return unexpected_problem(error)
    log.warning("the server does not answer: %s", error)
    return away_problem()


def unexpected_problem(error: Exception) -> Response:
    """Log the error and say nothing of it."""
    log.error("a request failed", exc_info=error)
    return problem(500, "the request failed; the log of the web process says why")
