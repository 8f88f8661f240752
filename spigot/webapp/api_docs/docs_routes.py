"""The API's documentation: ``/openapi.json`` for programs, ``/docs`` for people."""

import json
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from flask import Blueprint, Flask, Response, current_app, render_template, request
from flask.typing import ResponseReturnValue

from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.schema_example import Schema, example_of, name_in
from spigot.runtime.count_text import count_text
from spigot.webapp.http.description import Answer, described
from spigot.webapp.http.page_security import secure_page

from .openapi import openapi_document
from .try_it import blueprint as try_blueprint
from .try_it import fetch_of, form_fields, requests_of

blueprint = Blueprint("docs", __name__)

LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "above {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "below {}",
    "minLength": "at least {}",
    "maxLength": "at most {}",
    "pattern": "matches {}",
    "default": "{} if it is left out",
}


VARIABLE = re.compile(r"\{([^{}]+)\}")
STAND_INS = {"job_id": "ID", "name": "default"}
"""What stands in commands for the variables of an address."""


class ApiDocument:
    """The OpenAPI document, made when it is first asked for.

    Args:
        app: Its routes are described.
        catalog: Its job types are described.
    """

    def __init__(self, app: Flask, catalog: JobCatalog) -> None:
        self._app = app
        self._catalog = catalog

    @cached_property
    def content(self) -> dict[str, Any]:
        """The document as JSON values."""
        return openapi_document(self._app, self._catalog)


SHARED_BY = 6
"""An answer of so many routes is said once for all of them."""


def init_app(app: Flask, catalog: JobCatalog) -> None:
    """Serve the documentation; called by ``create_app``."""
    app.extensions["api_document"] = ApiDocument(app, catalog)
    app.register_blueprint(blueprint)
    app.register_blueprint(try_blueprint)


@blueprint.get("/openapi.json")
@described({200: Answer("An OpenAPI 3.1 document.", dict[str, Any])}, needs_server=False)
def openapi() -> ResponseReturnValue:
    """Describe the API to programs."""
    return _document()


@blueprint.get("/docs")
@described({200: Answer("A page.", str, "text/html")}, needs_server=False)
def page() -> ResponseReturnValue:
    """Describe the API to people."""
    document = _document()
    operations = list(_operations(document))
    text = render_template(
        "docs.html",
        document=document,
        operations=operations,
        shared=_shared_answers(operations),
        tags=sorted(document["tags"], key=lambda tag: tag["name"] != "Jobs"),
        tries=list(_tries(document)),
        describe_schema=describe_schema,
        limits_of=limits_of,
        curl_of=curl_of,
        example_of=lambda schema: example_of(schema, document["components"]["schemas"]),
        resolve=lambda schema: _resolve(document, schema),
    )
    return secure_page(Response(text, mimetype="text/html"))


def _shared_answers(operations: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return status and meaning of the errors that many routes answer, which are said once."""
    counts = Counter(
        (status, answer["description"])
        for operation in operations
        for status, answer in operation["responses"].items()
        if status >= "400"
    )
    return sorted(answer for answer, count in counts.items() if count >= SHARED_BY)


def _tries(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield for each job type its form, and the same request in code."""
    parts = document["components"]["schemas"]
    url = request.root_url.rstrip("/") + "/jobs"
    operation = next(o for o in _operations(document) if o["operationId"] == "jobs.create")
    body = _resolve(document, operation["requestBody"]["content"]["application/json"]["schema"])
    for wanted in body.get("oneOf", []):
        if "const" not in wanted.get("properties", {}).get("type", {}):
            continue
        example = example_of(wanted, parts)
        yield {
            "type": wanted["properties"]["type"]["const"],
            "description": wanted.get("description", ""),
            "fields": list(form_fields(wanted["properties"]["payload"], parts)),
            "code": [
                ("curl", curl_of(operation, example)),
                ("requests", requests_of(url, example)),
                ("fetch", fetch_of(url, example)),
            ],
        }


def describe_schema(schema: Schema) -> str:
    """Return what kind of value a schema describes."""
    match schema:
        case {"$ref": _}:
            return name_in(schema)
        case {"const": value}:
            return json.dumps(value)
        case {"enum": values}:
            return " or ".join(map(json.dumps, values))
        case {"anyOf": several} | {"oneOf": several}:
            return " or ".join(map(describe_schema, several))
        case {"type": "array", "items": items}:
            return f"list of {describe_schema(items)}"
        case {"type": "string", "format": "date-time"}:
            return "time (RFC 3339)"
    return str(schema.get("type", "any value"))


def limits_of(schema: Schema) -> str:
    """Return what else a schema asks of a value."""
    return ", ".join(
        words.format(_limit_text(name, schema[name]))
        for name, words in LIMITS.items()
        if name in schema
    )


def _limit_text(name: str, value: Any) -> str:
    if name == "default":
        return json.dumps(value)
    return count_text(value, "character") if name.endswith("Length") else str(value)


def curl_of(operation: dict[str, Any], body: Any = None) -> str:
    """Return a command that does an operation of the server that is asked now.

    Args:
        operation: As ``_operations`` yields it.
        body: What is sent; None takes the operation's example.
    """
    path = VARIABLE.sub(lambda found: STAND_INS.get(found[1], found[1].upper()), operation["path"])
    parts = ["curl", "-i", shlex.quote(request.root_url.rstrip("/") + path)]
    if operation["method"] not in ("GET", "POST"):
        parts += ["-X", operation["method"]]
    if "security" in operation:
        parts += ["-u", "admin"]
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        text = json.dumps(content["example"] if body is None else body, ensure_ascii=False)
        parts += ["-H", shlex.quote(f"Content-Type: {media_type}"), "-d", shlex.quote(text)]
    return " ".join(parts)


def _document() -> dict[str, Any]:
    document: ApiDocument = current_app.extensions["api_document"]
    return document.content | {"servers": [{"url": request.script_root or "/"}]}


def _operations(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield {**operation, "path": path, "method": method.upper()}


def _resolve(document: dict[str, Any], schema: Schema) -> Schema:
    if "$ref" not in schema:
        return schema
    found: Schema = document["components"]["schemas"][name_in(schema)]
    return found
