"""Forms that send a job: one for each job type, made from the JSON schema of its payload."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, cast

from flask import Blueprint, Response, abort, redirect, render_template, request
from flask.typing import ResponseReturnValue

from spigot.jobs.job.queue import Priority
from spigot.jobs.store import keys
from spigot.jobs.types.job_catalog import UnknownJobType
from spigot.jobs.types.payloads import InvalidPayload
from spigot.jobs.types.schema_example import Schema, example_of, name_in
from spigot.webapp.http.description import NO_FORM, Answer, described
from spigot.webapp.http.forms import require_form
from spigot.webapp.http.page_security import secure_page
from spigot.webapp.http.same_origin import is_foreign_change
from spigot.webapp.routes.jobs import submit

blueprint = Blueprint("docs_try", __name__)

PREFIX = "field."
"""Names of a payload's fields in a form begin with it, those of others with ``json.``."""

JSON_PREFIX = "json."

Kind = Literal["text", "number", "checkbox", "select", "json"]
BOUNDS = {
    "minimum": "min", "maximum": "max", "minLength": "minlength", "maxLength": "maxlength",
    "pattern": "pattern",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class FormField:
    """One input.

    Attributes:
        name: Of the payload's field.
        input: Name of the input.
        kind: How it is entered.
        required: Whether it must be.
        value: What stands there at first.
        options: To choose from.
        attributes: What the browser checks.
        hint: What the field means.
    """

    name: str
    input: str
    kind: Kind
    required: bool
    value: str
    options: tuple[str, ...]
    attributes: dict[str, str]
    hint: str


def form_fields(schema: Schema, parts: Mapping[str, Schema]) -> Iterator[FormField]:
    """Yield the inputs for a payload.

    Args:
        schema: Of the payload.
        parts: What it refers to.
    """
    whole = parts[name_in(schema)] if "$ref" in schema else schema
    example = example_of(whole, parts)
    for name, found in whole.get("properties", {}).items():
        part = parts[name_in(found)] if "$ref" in found else found
        required = name in whole.get("required", [])
        value = part.get("default", example.get(name) if required else None)
        yield _field(name, part, required, value)


def _field(name: str, part: Schema, required: bool, value: Any) -> FormField:
    kind = _kind(part)
    is_text = kind == "text"
    shown = "" if value is None else value if is_text else json.dumps(value, ensure_ascii=False)
    attributes = {html: str(part[word]) for word, html in BOUNDS.items() if word in part}
    if part.get("type") == "number":
        attributes["step"] = "any"
    return FormField(
        name=name,
        input=(PREFIX if is_text else JSON_PREFIX) + name,
        kind=kind,
        required=required and kind != "checkbox",
        value=str(shown),
        options=tuple(json.dumps(one) for one in part.get("enum", ())),
        attributes=attributes if kind in ("text", "number") else {},
        hint=str(part.get("description", "")),
    )


def _kind(part: Schema) -> Kind:
    if "enum" in part:
        return "select"
    kinds: dict[str, Kind] = {
        "string": "text", "integer": "number", "number": "number", "boolean": "checkbox",
    }  # fmt: skip
    return kinds.get(str(part.get("type")), "json")


def requests_of(url: str, body: Any) -> str:
    """Return the request in Python."""
    return (
        "import requests\n\n"
        f"answer = requests.post({url!r}, json={body!r})\n"
        'print(answer.status_code, answer.headers["Location"])'
    )


def fetch_of(url: str, body: Any) -> str:
    """Return the request in JavaScript."""
    text = json.dumps(body, ensure_ascii=False, indent=2)
    return (
        f"const answer = await fetch({json.dumps(url)}, {{\n"
        '  method: "POST",\n  headers: {"Content-Type": "application/json"},\n'
        f"  body: JSON.stringify({text}),\n}});\n"
        "console.log(answer.status, await answer.json());"
    )


@blueprint.post("/docs/jobs")
@described(
    {
        303: Answer("The job was taken in: see its page."),
        415: NO_FORM,
        422: Answer("A page that says which field is wrong.", str, "text/html"),
        503: "The bucket is full or takes no jobs, or the server is away.",
    }
)
def send() -> ResponseReturnValue:
    """Take one job in, for the forms of the documentation."""
    require_form("POST /jobs")
    if is_foreign_change(request):
        abort(403, "a page of another site may not send jobs here")
    priority = request.form.get("priority", "default")
    if priority not in keys.PRIORITIES:
        abort(422, f"priority must be one of {', '.join(keys.PRIORITIES)}")
    try:
        payload = _payload()
        answer = submit(request.form.get("type", ""), payload, cast(Priority, priority))
    except (InvalidPayload, UnknownJobType, ValueError) as error:
        return _refused(str(error))
    return redirect(answer.location, 303) if answer.status_code in (200, 202) else answer


def _payload() -> dict[str, Any]:
    payload: dict[str, Any] = {}
    for name, text in request.form.items():
        if name.startswith(PREFIX):
            payload[name.removeprefix(PREFIX)] = text
        elif name.startswith(JSON_PREFIX) and text.strip():
            field = name.removeprefix(JSON_PREFIX)
            try:
                payload[field] = json.loads(text)
            except ValueError as error:
                raise ValueError(f"{field}: this is no JSON: {error}") from error
            except RecursionError as error:
                raise ValueError(f"{field}: this is nested too deeply") from error
    return payload


def _refused(detail: str) -> Response:
    text = render_template("not_sent.html", detail=detail)
    return secure_page(Response(text, 422, mimetype="text/html"))
