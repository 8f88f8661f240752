"""The API's description as an OpenAPI document, from its routes, models and job types.

Source: OpenAPI Specification 3.1.0.
"""

from collections.abc import Iterable
from importlib.metadata import version
from inspect import cleandoc, getdoc
from itertools import chain, count
from typing import Any

from flask import Flask

from spigot.jobs.types.job_catalog import JobCatalog
from spigot.jobs.types.job_types import JobType
from spigot.jobs.types.schema_example import Schema, example_of, name_in
from spigot.webapp.http.description import Answer, Value
from spigot.webapp.routes.jobs import JobRequest

from .described_routes import Route, described_routes
from .examples import EXAMPLES
from .schemas import Mode, schemas_of
from .titles import Titles

ABOUT = cleandoc("""
    Submit a job with `POST /jobs`; the header `Location` of the answer is its address, which shows
    its state. A client that submits too often gets 429, and a full bucket 503; `Retry-After` says
    when to come back. Accepted jobs start one by one, at the rate of their bucket. Whoever knows
    the id of a job may see and cancel it; the id is random, and only the admin sees a list. Every
    answer has an `X-Request-ID`, which is in the logs too; send that header to choose the id.
""")

ADMIN = {
    "type": "http",
    "scheme": "basic",
    "description": "The user `admin` with the password of the settings.",
}

TAGS = {
    "jobs": "Jobs",
    "job": "Jobs",
    "types": "Jobs",
    "buckets": "Buckets",
    "status": "Operation",
    "metrics": "Operation",
    "live": "Operation",
}
"""Under which heading the routes of a blueprint stand."""

APPLICATION = "Applications"
OTHER = "Pages"


def openapi_document(app: Flask, catalog: JobCatalog) -> dict[str, Any]:
    """Return the document.

    Args:
        app: Its routes that are ``described`` are in it.
        catalog: Its job types are what ``POST /jobs`` takes, but for internal ones.
    """
    routes = list(described_routes(app))
    job_types = sorted(catalog.public(), key=lambda job_type: job_type.name)
    schemas, parts = schemas_of(_types(routes, job_types))
    name = name_in(schemas[JobRequest])
    titles = _titled(parts)
    parts[name] = _any_job_request(parts[name], job_types, schemas, titles)
    writer = _Writer(schemas, {**EXAMPLES, JobRequest: example_of(parts[name], parts)})
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        methods = paths.setdefault(route.path, {})
        methods.setdefault(route.method.lower(), writer.operation(route))
    return {
        "openapi": "3.1.0",
        "info": {"title": "Spigot", "version": version("spigot-jobs"), "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": tag} for tag in _headings(routes)],
        "paths": paths,
        "components": {
            "schemas": parts,
            "headers": writer.headers,
            "securitySchemes": {"admin": ADMIN},
        },
    }


def _headings(routes: Iterable[Route]) -> Iterable[str]:
    """Return the headings, those of applications after the jobs if there are any."""
    jobs, *others = dict.fromkeys([*TAGS.values(), OTHER])
    with_applications = any(route.is_of_application for route in routes)
    return [jobs, *([APPLICATION] if with_applications else ()), *others]


def _types(routes: Iterable[Route], job_types: Iterable[JobType]) -> dict[Any, tuple[Any, Mode]]:
    """Return all that has a schema."""
    found: dict[Any, tuple[Any, Mode]] = {}
    for route in routes:
        if route.description.body:
            found[route.description.body] = route.description.body, "validation"
        bodies = (answer.body for answer in route.answers().values())
        found |= {body: (body, "serialization") for body in bodies if body}
    return found | {job_type: (job_type.payload, "validation") for job_type in job_types}


def _titled(parts: dict[str, Schema]) -> Titles:
    """Give each part a title of its own."""
    titles = Titles()
    for name in sorted(parts, key=lambda name: name.islower()):  # ours have capitals
        parts[name]["title"] = titles.take(name, f"{name} payload")
    return titles


def _any_job_request(
    general: Schema,
    job_types: Iterable[JobType],
    schemas: dict[Any, Schema],
    titles: Titles,
) -> Schema:
    """Return the schema of a request for a job of one of the types."""
    requests = [
        _job_request(
            general, job_type, schemas[job_type], titles.take(f"{job_type.name} job request")
        )
        for job_type in job_types
    ]
    return {"description": general["description"], "oneOf": requests or [general]}


def _job_request(general: Schema, job_type: JobType, payload: Schema, title: str) -> Schema:
    has_to = any(field.is_required() for field in job_type.payload.model_fields.values())
    return {
        "type": "object",
        "title": title,
        "description": _first_line(job_type.function),
        "properties": {
            **general["properties"],
            "type": {"const": job_type.name},
            "payload": payload,
        },
        "required": ["type", "payload"] if has_to else ["type"],
        "additionalProperties": False,
    }


class _Writer:
    """Writes operations.

    Args:
        schemas: By type.
        examples: By type.

    Attributes:
        headers: That the operations so far refer to.
        names: Of the operations so far.
    """

    def __init__(self, schemas: dict[Any, Schema], examples: dict[Any, Any]) -> None:
        self._schemas = schemas
        self._examples = examples
        self.headers: dict[str, Any] = {}
        self.names: set[str] = set()

    def operation(self, route: Route) -> dict[str, Any]:
        described = route.description
        found: dict[str, Any] = {
            "operationId": self._name(route),
            "tags": [_heading(route)],
            "summary": _first_line(route.view).removesuffix(".") or route.name,
        }
        values = (*route.variables, *described.values)
        if values:
            found["parameters"] = [_parameter(value) for value in values]
        if described.body:
            content = self._content(described.body, "application/json")
            found["requestBody"] = {"required": True, "content": content}
        if described.for_admin:
            found["security"] = [{"admin": []}]
        found["responses"] = {
            str(status): self._response(answer) for status, answer in route.answers().items()
        }
        if others := route.other_answers():
            found["responses"]["default"] = self._response(others)
        return found

    def _name(self, route: Route) -> str:
        """Return a name that no other operation has: a view may have several routes."""
        method = route.method.lower()
        names = chain(
            (route.name, f"{route.name}.{method}"),
            (f"{route.name}.{method}.{number}" for number in count(2)),
        )
        name = next(name for name in names if name not in self.names)
        self.names.add(name)
        return name

    def _response(self, answer: Answer) -> dict[str, Any]:
        found: dict[str, Any] = {"description": answer.meaning}
        if answer.headers:
            self.headers |= {header.name: _header(header) for header in answer.headers}
            found["headers"] = {
                header.name: {"$ref": f"#/components/headers/{header.name}"}
                for header in answer.headers
            }
        if answer.body:
            found["content"] = self._content(answer.body, answer.media_type)
        elif answer.media_type != Answer.media_type:
            found["content"] = {answer.media_type: {"schema": {}}}
        if answer.links:
            found["links"] = {name: _link(name) for name in answer.links}
        return found

    def _content(self, body: Any, media_type: str) -> dict[str, Any]:
        content: dict[str, Any] = {"schema": self._schemas[body]}
        if body in self._examples:
            content["example"] = self._examples[body]
        return {media_type: content}


def _first_line(function: Any) -> str:
    return (getdoc(function) or "").partition("\n")[0]


def _heading(route: Route) -> str:
    if route.is_of_application:
        return APPLICATION
    return TAGS.get(route.name.partition(".")[0], OTHER)


def _parameter(value: Value) -> dict[str, Any]:
    return {
        "name": value.name,
        "in": value.place,
        "required": value.place == "path",
        **_header(value),
    }


def _header(value: Value) -> dict[str, Any]:
    found: dict[str, Any] = {"schema": dict(value.schema or {"type": "string"})}
    if value.meaning:
        found["description"] = value.meaning
    if value.example is not None:
        found["example"] = value.example
    return found


def _link(operation: str) -> dict[str, Any]:
    return {"operationId": operation, "parameters": {"job_id": "$response.body#/id"}}
