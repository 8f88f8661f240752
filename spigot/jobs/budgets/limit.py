"""A limit as people write it: ``90000/m``, ``10000/d``; and the window of one: ``60s``, ``1d``."""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from spigot.runtime.rate import MICROSECONDS

LIMIT = re.compile(r"(\d{1,12})\s*/\s*([smhd])", re.ASCII)
WINDOW = re.compile(r"(\d{1,6})\s*([smhd])", re.ASCII)
LONGEST_WINDOW_US = 366 * MICROSECONDS["d"]


@dataclass(frozen=True, slots=True)
class _Written:
    """Something that is read from and written as text.

    Attributes:
        text: As it was written.
    """

    EXAMPLE: ClassVar[str]

    text: str

    @classmethod
    def parse(cls, text: str) -> Any:
        """Read it.

        Raises:
            ValueError: The text cannot be read; the message says how to write one.
        """
        raise NotImplementedError

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let models hold it."""
        return core_schema.no_info_plain_validator_function(
            cls._read,
            serialization=core_schema.plain_serializer_function_ser_schema(lambda it: it.text),
        )

    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError(f"must be text like {cls.EXAMPLE!r}")
        return cls.parse(value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in the API's documentation what it looks like."""
        return {"type": "string", "examples": [cls.EXAMPLE]}


@dataclass(frozen=True, slots=True)
class Limit(_Written):
    """How much a budget grants.

    Attributes:
        count: Tokens, or whatever is counted, per period, >= 1.
        period_us: Microseconds of the period.
    """

    EXAMPLE = "90000/m"

    count: int
    period_us: int

    @classmethod
    def parse(cls, text: str) -> "Limit":
        """Read a limit; see the base."""
        match = LIMIT.fullmatch(text.strip())
        if match is None:
            raise ValueError(
                f"{text!r} is no limit; write it like 90000/m, 500/s, 1000/h or 5000/d"
            )
        count = int(match[1])
        if count < 1:
            raise ValueError(f"{text!r}: a limit must be at least 1")
        return cls(text.strip(), count, MICROSECONDS[match[2]])


@dataclass(frozen=True, slots=True)
class Window(_Written):
    """How long a downstream counts before it begins anew.

    Attributes:
        us: Microseconds, >= 1,000,000.
    """

    EXAMPLE = "60s"

    us: int

    @classmethod
    def parse(cls, text: str) -> "Window":
        """Read a window; see the base."""
        match = WINDOW.fullmatch(text.strip())
        us = int(match[1]) * MICROSECONDS[match[2]] if match else 0
        if not 1 <= us <= LONGEST_WINDOW_US:
            raise ValueError(f"{text!r} is no window; write it like 10s, 1m, 1h or 1d")
        return cls(text.strip(), us)
