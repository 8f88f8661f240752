"""Every error as a problem document: ``application/problem+json``.

Source: RFC 9457, section 3.
"""

from http import HTTPStatus
from math import ceil
from typing import Any

from flask import Response, json
from pydantic import BaseModel, ConfigDict, JsonValue

from jobs.job_queue import Full

MEDIA_TYPE = "application/problem+json"

AWAY_RETRY_SECONDS = 2
"""What clients are told while the server is away; a restart takes about that long."""


EXAMPLE: dict[str, JsonValue] = {
    "type": "about:blank",
    "title": "Service Unavailable",
    "status": 503,
    "detail": "bucket 'default' is full; try again in 4 s",
    "bucket": "default",
}


class Problem(BaseModel):
    """Why a request was not served."""

    model_config = ConfigDict(
        extra="allow", use_attribute_docstrings=True, json_schema_extra={"examples": [EXAMPLE]}
    )

    type: str = "about:blank"
    """URI that names the kind of problem."""

    title: str
    """The phrase of the status."""

    status: int
    """HTTP status code."""

    detail: str
    """What happened and what the client can do."""


def problem(
    status: int,
    detail: str,
    *,
    type: str = "about:blank",
    headers: dict[str, str] | None = None,
    **members: Any,
) -> Response:
    """Build the answer to a request that was not served.

    Args:
        status: HTTP status code; its phrase becomes the title.
        detail: What happened and what the client can do.
        type: URI that names the kind of problem.
        headers: Such as ``Retry-After``.
        **members: Further members of the document.
    """
    title = HTTPStatus(status).phrase
    body = Problem(type=type, title=title, status=status, detail=detail, **members)
    text = json.dumps(body.model_dump())
    return Response(text, status, headers=headers, content_type=MEDIA_TYPE)


def away_problem() -> Response:
    """Build the answer for the time in which the server cannot be asked."""
    return problem(
        503,
        "the server that keeps the jobs does not answer; try again soon",
        headers={"Retry-After": str(AWAY_RETRY_SECONDS)},
    )


def bucket_full_problem(full: Full, **members: Any) -> Response:
    """Build the answer to a request for which a bucket has no room.

    Args:
        full: Why, and for how long.
        **members: Further members of the document.
    """
    seconds = ceil(full.retry_after_ms / 1000)
    return problem(
        503,
        f"{full}; try again in {seconds} s",
        headers={"Retry-After": str(seconds)},
        bucket=full.bucket,
        **members,
    )
