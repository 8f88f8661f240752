"""A value that a JSON schema describes, to show people what may be sent."""

from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

VALUES = {"string": "text", "integer": 1, "number": 1.5, "boolean": True, "array": []}


def example_of(schema: Schema, parts: Mapping[str, Schema]) -> Any:
    """Return a value that a schema describes: what is required of it, as simple as can be.

    Args:
        schema: Of any kind.
        parts: What it refers to.
    """
    match schema:
        case {"$ref": _}:
            own = parts.get(name_in(schema), {})  # not there within itself, or it would never end
            return example_of(own, {name: part for name, part in parts.items() if part is not own})
        case {"const": ready} | {"examples": [ready, *_]} | {"default": ready}:
            return ready
        case {"enum": [first, *_]}:
            return first
        case {"anyOf": [first, *_] as choices} | {"oneOf": [first, *_] as choices}:
            ends = (each for each in choices if "$ref" not in each or name_in(each) in parts)
            return example_of(next(ends, first), parts)
        case {"type": "object"}:
            fields = schema.get("properties", {})
            return {name: example_of(fields[name], parts) for name in schema.get("required", ())}
    return VALUES.get(schema.get("type", ""))


def name_in(reference: Schema) -> str:
    """Return the name of the part that a schema refers to."""
    return str(reference["$ref"].rpartition("/")[2])
