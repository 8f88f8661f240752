"""What a function returned is written as pydantic writes it; what cannot be is named."""

import collections
import itertools
import json
import math
import types
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from ipaddress import ip_address
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pydantic import BaseModel, Field, SecretStr, field_serializer

from spigot.worker.running.written_result import UnwritableResult, write_result

KEY = uuid.UUID(int=7)


class Color(Enum):
    RED = "red"


class Report(BaseModel):
    at: datetime
    cost: Decimal = Decimal("1.10")
    name: str = Field("a", alias="Name")
    key: SecretStr = SecretStr("hunter2")

    @field_serializer("at")
    def in_words(self, value: datetime) -> str:
        return f"{value:%d %B %Y}"


@dataclass
class Row:
    at: date
    parts: list[Any] = field(default_factory=list)


class Pair(NamedTuple):
    left: int
    right: date


class Grumpy(Mapping[str, int]):
    """Looks like a mapping, and raises."""

    def __getitem__(self, key: str) -> int:
        raise RuntimeError("no item")

    def __iter__(self) -> Any:
        return iter("a")

    def __len__(self) -> int:
        return 1

    def items(self) -> Any:
        raise RuntimeError("no items")


class GrumpyDict(dict[str, int]):
    def items(self) -> Any:
        raise RuntimeError("no items")


class Leaving(BaseModel):
    value: int = 1

    @field_serializer("value")
    def leave(self, value: int) -> int:
        raise SystemExit("bye")


def nested(levels: int, kind: type = dict) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value} if kind is dict else [value]
    return value


DAY = date(2026, 1, 2)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (None, None),
        ({"a": [1, 2.5, "ä", True, None]}, {"a": [1, 2.5, "ä", True, None]}),
        (datetime(2026, 1, 2, tzinfo=UTC), "2026-01-02T00:00:00Z"),
        ([DAY, timedelta(seconds=90)], ["2026-01-02", "PT1M30S"]),
        ({"id": KEY}, {"id": str(KEY)}),
        (Decimal("1.10"), "1.10"),
        (Color.RED, "red"),
        (Path("/a/b"), "/a/b"),
        (b"abc", "abc"),
        ({3}, [3]),
        (frozenset({3}), [3]),
        ((1, DAY), [1, "2026-01-02"]),
        (Pair(1, DAY), [1, "2026-01-02"]),
        (collections.deque([1]), [1]),
        (collections.OrderedDict(a=1), {"a": 1}),
        (collections.Counter("aab"), {"a": 2, "b": 1}),
        (ip_address("::1"), "::1"),
        (Row(DAY, [Row(DAY)]), {"at": "2026-01-02", "parts": [{"at": "2026-01-02", "parts": []}]}),
        (
            [Report(at=datetime(2026, 1, 2, tzinfo=UTC), Name="b")],
            [{"at": "02 January 2026", "cost": "1.10", "name": "b", "key": "**********"}],
        ),
        (
            {1: "a", KEY: 2, DAY: 3, Color.RED: 4},
            {"1": "a", str(KEY): 2, "2026-01-02": 3, "red": 4},
        ),
        (GrumpyDict(a=1), {"a": 1}),
        (2**80, 2**80),
        ({"emoji \U0001f600": "\U0001f600"}, {"emoji \U0001f600": "\U0001f600"}),
        (nested(200), nested(200)),
        (nested(200, list), nested(200, list)),
    ],
)
def test_it_is_written_as_pydantic_writes_it(value, written):
    assert json.loads(write_result(value)) == written


ENDLESS: list[Any] = []
ENDLESS.append({"again": ENDLESS})


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (object(), "result: a object cannot be written as JSON"),
        ({"rows": [1, {"at": object()}]}, "result.rows[1].at: a object cannot be written as JSON"),
        ([Row(DAY, [0, {1: {2j, print}}])], "result[0].parts[1].1["),
        (Report.model_construct(at=DAY, cost=print), "result.cost: a builtin_function_or_method"),
        (ValueError("x"), "result: a ValueError cannot"),
        ({"f": open}, "result.f: a builtin_function_or_method cannot"),
        (lambda: 1, "result: a function cannot"),
        (int, "result: a type cannot"),
        (map(str, []), "result: a map, of which nothing has run; return a list"),
        ({"n": itertools.count()}, "result.n: a count, of which nothing has run"),
        ([Row(DAY, [iter([])])], "result[0].parts[0]: a list_iterator, of which nothing"),
        (types.MappingProxyType({}), "result: a mappingproxy cannot"),
        ({"m": Grumpy()}, "result.m: a Grumpy cannot be written as JSON"),
        ([Leaving()], "result[0]: a Leaving cannot be written as JSON: Error"),
        (b"\xff", "result: a bytes cannot be written as JSON: 'utf-8' codec"),
        ({"a": math.nan}, "result.a: JSON has no nan"),
        ([1, [math.inf]], "result[1][0]: JSON has no inf"),
        ({"a": "\ud800"}, "result.a: half a surrogate pair is no text"),
        ({"\udfff": 1}, "surrogates not allowed"),
        ({"x": {1: "a", "1": "b"}}, "result.x: two of its keys are written alike"),
        (10**5000, "result: Exceeds the limit"),
        (nested(201), "nested more than 200 levels deep"),
        (nested(700), "nested more than 200 levels deep"),
        (nested(900, list), "nested more than 200 levels deep"),
        (nested(100_000), "nested more than 200 levels deep"),
        (ENDLESS, "or it holds itself"),
        ("x" * 9_000_000, "result: 9000002 bytes are more than 8388608"),
        ({"g": (n for n in "abc")}, "result.g: a generator, of which nothing has run"),
        ((n for n in "abc"), "result: a generator, of which nothing has run"),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else type(value).__name__,
)
def test_what_cannot_be_written_is_named(value, problem):
    with pytest.raises(UnwritableResult) as raised:
        write_result(value)

    assert problem in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(str(raised.value)) < 400


def test_a_long_path_is_cut_in_its_middle():
    value: Any = math.nan
    for _ in range(100):
        value = {"a": value}

    with pytest.raises(UnwritableResult, match=r"^result\.a\.a.*….*\.a\.a: JSON has no nan"):
        write_result(value)
