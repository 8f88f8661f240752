"""A rate as people write it: ``10/s``, ``60/m``, ``1000/h``, ``5000/d``, ``60/m burst 5``."""

import re
from dataclasses import dataclass
from math import ceil
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from .time_units import SECONDS

MICROSECONDS = {unit: seconds * 1_000_000 for unit, seconds in SECONDS.items()}
RATE = re.compile(r"(\d{1,9})\s*/\s*([smhd])(?:\s+burst\s+(\d{1,6}))?", re.ASCII)
LONGEST_BURST_US = 10 * 365 * MICROSECONDS["d"]  # sums of times stay exact below 2 ** 53
FORMS = "write it like 10/s, 60/m, 1000/h, 5000/d or 60/m burst 5"


@dataclass(frozen=True, slots=True)
class Rate:
    """How often something may happen.

    Attributes:
        text: As it was written.
        count: Times per period, 1 to 1,000,000 a second.
        period_us: Microseconds of the period.
        burst: How many may happen at once after a pause, >= 1.
    """

    text: str
    count: int
    period_us: int
    burst: int = 1

    @classmethod
    def parse(cls, text: str) -> "Rate":
        """Read a rate.

        Raises:
            ValueError: The text is no rate, or one of 0, or of over 1,000,000 a second; or the
                burst is more than ten years of it.
        """
        match = RATE.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"{text!r} is no rate; {FORMS}")
        count, period_us = int(match[1]), MICROSECONDS[match[2]]
        burst = int(match[3] or 1)
        if count < 1 or burst < 1 or count > period_us:
            raise ValueError(f"{text!r}: rate and burst must be at least 1, at most 1000000/s")
        if burst * period_us > count * LONGEST_BURST_US:
            raise ValueError(f"{text!r}: the burst is more than what ten years save up")
        return cls(text.strip(), count, period_us, burst)

    @property
    def interval_us(self) -> int:
        """Microseconds between two, rounded up so that the rate is never exceeded."""
        return ceil(self.period_us / self.count)

    @classmethod
    def __get_pydantic_core_schema__(cls, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Let models hold rates; they are read from and written as text."""
        return core_schema.no_info_before_validator_function(
            cls._read,
            core_schema.is_instance_schema(cls),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda rate: rate.text),
        )

    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, cls):
            return value
        if not isinstance(value, str):
            raise ValueError(f"must be a text; {FORMS}")
        return cls.parse(value)

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Say in the API's documentation what a rate looks like."""
        pattern = RATE.pattern.replace(r"\d", "[0-9]")  # to JavaScript and Python the same
        return {"type": "string", "pattern": f"^{pattern}$", "examples": ["10/s", "60/m burst 5"]}
