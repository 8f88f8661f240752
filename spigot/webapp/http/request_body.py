"""Reads what a client sent: strict JSON, in the shape of a model."""

from typing import Any, TypeVar

from flask import current_app, request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json
from werkzeug.exceptions import (
    BadRequest,
    HTTPException,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from spigot.jobs.types.payloads import wrong_fields
from spigot.runtime.errors import PortableError

from .problem_types import ProblemType
from .problems import problem

Model = TypeVar("Model", bound=BaseModel)

PARSED = "spigot.parsed_body"
"""Where the environment keeps what was read of a body, or why it is refused: it comes only once."""


class InvalidBody(PortableError, ValueError):
    """A body is JSON, but not what the route takes.

    Attributes:
        errors: One mapping per wrong field: ``field`` (dotted) and ``problem``.
    """

    def __init__(self, errors: list[dict[str, str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{error['field']}: {error['problem']}" for error in errors))


def read_model(model: type[Model]) -> Model:
    """Return the body of the present request as ``model``.

    Raises:
        InvalidBody: A field is missing or wrong; answered with 422.
        HTTPException: As ``read_json``.
    """
    return as_model(model, read_json())


def as_model(model: type[Model], sent: Any) -> Model:
    """Return JSON values as ``model``.

    Raises:
        InvalidBody: A field is missing or wrong; answered with 422.
    """
    try:
        return model.model_validate(sent)
    except ValidationError as error:
        raise InvalidBody(wrong_fields(error, whole="body")) from error


def read_json() -> Any:
    """Return the body of the present request.

    Raises:
        UnsupportedMediaType: It is not said to be JSON in UTF-8, or it is compressed.
        RequestEntityTooLarge: It is larger than the setting allows.
        BadRequest: It is not JSON (RFC 8259), or nested too deeply.
    """
    if PARSED not in request.environ:
        try:
            request.environ[PARSED] = _parse()
        except HTTPException as refused:
            request.environ[PARSED] = refused
    parsed = request.environ[PARSED]
    if isinstance(parsed, HTTPException):
        raise parsed
    return parsed


def _parse() -> Any:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in ("utf-8", "utf8"):
        raise UnsupportedMediaType("send JSON in UTF-8, with Content-Type: application/json")
    coding = request.headers.get("Content-Encoding", "identity")
    if coding.lower() != "identity":
        raise UnsupportedMediaType(
            f"the body is compressed (Content-Encoding: {coding[:20]}); send it as it is"
        )
    try:
        return from_json(_body(), allow_inf_nan=False)
    except ValueError as error:
        told = problem(400, f"the body is not JSON: {error}", type=ProblemType.NOT_JSON)
        raise BadRequest(response=told) from error


def _body() -> bytes:
    first_refused: int = current_app.config["MAX_CONTENT_LENGTH"]
    # werkzeug cuts a body there that does not say its length
    if (request.content_length or 0) >= first_refused or len(request.get_data()) == first_refused:
        raise RequestEntityTooLarge(f"the body is larger than {first_refused - 1} bytes")
    return request.get_data()
