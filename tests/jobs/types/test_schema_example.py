"""The values that show people what may be sent."""

from typing import Annotated, Literal

import pytest
from pydantic import BaseModel, Field

from spigot.jobs.types.schema_example import example_of


class Part(BaseModel):
    name: str
    parts: "list[Part]"
    within: "Part | None"


class Sum(BaseModel):
    kind: Literal["sum"]
    left: "Sum | float"
    right: "Annotated[Sum | Number, Field(discriminator='kind')]"


class Number(BaseModel):
    kind: Literal["number"]
    value: float


class Pair(BaseModel):
    first: Number
    second: Number


@pytest.mark.parametrize("model", [Part, Sum, Pair])
def test_a_payload_with_parts_has_an_example_that_may_be_sent(model):
    schema = model.model_json_schema()

    example = example_of(schema, schema["$defs"])

    assert model.model_validate(example)
