"""JSON schemas of what the API takes and answers, from the models that its routes use."""

import json
import re
from collections.abc import Mapping
from inspect import cleandoc
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.errors import PydanticInvalidForJsonSchema

from spigot.jobs.types.schema_example import Schema, name_in

Mode = Literal["validation", "serialization"]

REFERENCE = "#/components/schemas/{model}"
NAMES = {"JobState": "Job", "BucketState": "Bucket"}
"""What clients call a thing, where the code has another word and no application took theirs."""

ATTRIBUTE = re.compile(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", re.MULTILINE)


def schemas_of(
    types: Mapping[Any, tuple[Any, Mode]],
) -> tuple[dict[Any, Schema], dict[str, Schema]]:
    """Return a schema for each type, and the parts that they refer to.

    Args:
        types: Models, dataclasses or other types that pydantic knows, by any key, with what is
            done with them: read (``validation``) or written (``serialization``).
    """
    inputs = [(key, mode, _adapter(type)) for key, (type, mode) in types.items()]
    by_key, shared = TypeAdapter.json_schemas(inputs, ref_template=REFERENCE)
    schemas, parts = _renamed([by_key[key, mode] for key, mode, _ in inputs], shared["$defs"])
    for part in parts.values():
        _tell_attributes(part)
    for (type, _), schema in zip(types.values(), schemas, strict=True):
        if "$ref" in schema:
            _tell_inherited_attributes(parts[name_in(schema)], type)
    return dict(zip(types, schemas, strict=True)), parts


def _adapter(type: Any) -> TypeAdapter[Any]:
    """Take a model that JSON schema has no words for as any object: the server still checks it."""
    adapter: TypeAdapter[Any] = TypeAdapter(type)
    try:
        adapter.json_schema()
    except PydanticInvalidForJsonSchema:
        return TypeAdapter(dict[str, Any])
    return adapter


def _renamed(
    schemas: list[Schema], parts: dict[str, Schema]
) -> tuple[list[Schema], dict[str, Schema]]:
    names = {name: ours for name, ours in NAMES.items() if ours not in parts}
    text = json.dumps([schemas, {names.get(name, name): part for name, part in parts.items()}])
    for name, ours in names.items():
        before, after = (REFERENCE.format(model=model) for model in (name, ours))
        text = text.replace(f'"{before}"', f'"{after}"')
    renamed = json.loads(text)
    return renamed[0], renamed[1]


def _tell_attributes(schema: Schema) -> None:
    """Put what a docstring says of the attributes where the attributes are described."""
    if text := _describe_attributes(schema, schema.get("description", "")):
        schema["description"] = text


def _tell_inherited_attributes(schema: Schema, type: Any) -> None:
    for base in getattr(type, "__mro__", ())[1:]:
        _describe_attributes(schema, cleandoc(base.__doc__ or ""))


def _describe_attributes(schema: Schema, docstring: str) -> str:
    """Describe the attributes that a docstring names; return what stands before them."""
    text, _, attributes = docstring.partition("\n\nAttributes:\n")
    for name, meaning in ATTRIBUTE.findall(attributes):
        if name in schema.get("properties", {}):
            words = " ".join(meaning.split()).replace("``", "`").replace("None", "null")
            schema["properties"][name].setdefault("description", words)
    return text
