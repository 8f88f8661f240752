"""Every error as a problem document: ``application/problem+json``.

Source: RFC 9457, section 3.
"""

from http import HTTPStatus
from typing import Annotated, Any

from flask import Response, json
from pydantic import BaseModel, ConfigDict, Field, JsonValue

from .problem_types import ProblemType, uri_of_status

MEDIA_TYPE = "application/problem+json"

AWAY_RETRY_SECONDS = 2
"""What clients are told while the server is away; a restart takes about that long."""


EXAMPLE: dict[str, JsonValue] = {
    "type": ProblemType.BUCKET_FULL.uri,
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

    type: Annotated[str, Field(json_schema_extra={"format": "uri"})]
    """URI that names the kind of problem: `urn:spigot:problem:` and its name, or one of the
    rate limits' in IANA's registry."""

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
    type: ProblemType | str | None = None,
    headers: dict[str, str] | None = None,
    **members: Any,
) -> Response:
    """Build the answer to a request that was not served.

    Args:
        status: HTTP status code; its phrase becomes the title.
        detail: What happened and what the client can do.
        type: The kind of problem, or its URI; None: the status says all of it.
        headers: Such as ``Retry-After``.
        **members: Further members of the document.
    """
    title = HTTPStatus(status).phrase
    uri = type.uri if isinstance(type, ProblemType) else type or uri_of_status(status)
    body = Problem(type=uri, title=title, status=status, detail=detail, **members)
    text = json.dumps(body.model_dump())
    return Response(text, status, headers=headers, content_type=MEDIA_TYPE)


def away_problem() -> Response:
    """Build the answer for the time in which the server cannot be asked."""
    return problem(
        503,
        "the server that keeps the jobs does not answer; try again soon",
        type=ProblemType.SERVER_AWAY,
        headers={"Retry-After": str(AWAY_RETRY_SECONDS)},
    )
