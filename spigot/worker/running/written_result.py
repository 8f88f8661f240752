"""Writes what a function returned as JSON, as pydantic does, or says what cannot be written."""

import dataclasses
import json
import traceback
from collections import deque
from collections.abc import Collection, Iterator
from math import isfinite
from types import AsyncGeneratorType
from typing import Any

from pydantic import BaseModel, ConfigDict, TypeAdapter

from spigot.runtime.errors import first_line

LARGEST_RESULT_BYTES = 8 * 1024 * 1024
"""A result passes through one script within its time-out, and through the result log."""

DEEPEST_LEVEL = 200
"""As in a request's body: what is nested deeper, readers of JSON refuse."""

LONGEST_PATH = 120

SCALARS = frozenset({str, int, float, bool, type(None)})

ANYTHING: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants"))


class UnwritableResult(Exception):
    """A function returned what JSON cannot carry: its work is done, and is not done again.

    The message names the value by its path, and says why.
    """


def write_result(value: Any) -> str:
    """Return the JSON of what a function returned.

    Dates, UUIDs, decimals, dataclasses, models, sets and their like are written as pydantic
    writes them. Generators, numbers that are none, and texts that are no Unicode are not.

    Raises:
        UnwritableResult: A part of it cannot be written.
    """
    if value is None:  # what most functions return that are called for what they do
        return "null"
    try:
        _survey(value, "result", 0)
        plain = _plain(value)
    except UnwritableResult:
        raise
    except (Exception, SystemExit, KeyboardInterrupt) as error:  # whatever its parts may raise
        path, reason = _culprit(value, error)
        raise UnwritableResult(f"{_short(path)}: {reason}") from _raised_by_a_part(error)
    text = _text(plain)
    if len(text) > LARGEST_RESULT_BYTES:
        raise UnwritableResult(
            f"result: {len(text)} bytes are more than {LARGEST_RESULT_BYTES}; keep it elsewhere, "
            "and return where it is"
        )
    return text


def _plain(value: Any) -> Any:
    return ANYTHING.dump_python(value, mode="json", warnings=False)


def _text(plain: Any) -> str:
    try:
        text = json.dumps(plain, allow_nan=False)
        if "\\ud" in text:  # pairs for an emoji, or half of one
            json.dumps(plain, ensure_ascii=False).encode()
    except ValueError as error:
        line = _line(error)
    else:
        return text
    _find_blemish(plain, "result")
    raise UnwritableResult(f"result: {line}")


def _raised_by_a_part(error: BaseException) -> BaseException | None:
    """Return what code of the value itself raised; None if pydantic refuses it by itself."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    is_pydantics = frame.f_globals.get("__name__", "").startswith("pydantic.")
    return error.__cause__ if is_pydantics else error


def _survey(value: Any, path: str, level: int) -> None:
    """Find what must not even be tried: what is endless, or too deep.

    An iterator may have no end; pydantic would read it until the memory is full, and no timeout
    could stop that.
    """
    if level >= DEEPEST_LEVEL:
        raise UnwritableResult(
            f"{_short(path)}: nested more than {DEEPEST_LEVEL} levels deep, or it holds itself"
        )
    if hasattr(type(value), "__next__") or isinstance(value, AsyncGeneratorType):
        raise UnwritableResult(
            f"{_short(path)}: a {type(value).__name__}, of which nothing has run; return a list"
        )
    if isinstance(value, dict) and _are_alike(dict.keys(value)):
        raise UnwritableResult(f"{_short(path)}: two of its keys are written alike")
    for name, part in _parts(value):
        if type(part) not in SCALARS:
            _survey(part, path + name, level + 1)


def _are_alike(keys: Collection[Any]) -> bool:
    """Return whether two different keys would become one text."""
    if all(type(key) is str for key in keys):
        return False
    return len(_plain(dict.fromkeys(keys))) != len(keys)


def _find_blemish(plain: Any, path: str) -> None:
    """Raise for the first number or text that JSON cannot carry."""
    if isinstance(plain, float) and not isfinite(plain):
        raise UnwritableResult(f"{_short(path)}: JSON has no {plain}")
    if isinstance(plain, str) and any("\ud800" <= letter <= "\udfff" for letter in plain):
        raise UnwritableResult(f"{_short(path)}: half a surrogate pair is no text")
    if isinstance(plain, dict):
        for key in plain:
            _find_blemish(key, path)
    for name, part in _parts(plain):
        _find_blemish(part, path + name)


def _culprit(value: Any, error: BaseException) -> tuple[str, str]:
    """Return the path to the innermost part that cannot be written, and why."""
    path = "result"
    for _ in range(DEEPEST_LEVEL):
        for name, part in _parts(value):
            try:
                _plain(part)
            except (Exception, SystemExit, KeyboardInterrupt) as inner:
                path, value, error = path + name, part, inner
                break
        else:
            return path, _why(value, error)
    return path, _why(value, error)


def _parts(value: Any) -> Iterator[tuple[str, Any]]:
    """Return the parts of a value, with their names."""
    if isinstance(value, dict):
        yield from ((f".{key!s:.40}", item) for key, item in dict.items(value))
    elif isinstance(value, list | tuple | set | frozenset | deque):
        yield from ((f"[{index}]", item) for index, item in enumerate(value))
    elif isinstance(value, BaseModel):
        yield from ((f".{name}", item) for name, item in value.__dict__.items())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield f".{field.name}", getattr(value, field.name, None)


def _why(value: Any, error: BaseException) -> str:
    words, line = f"a {type(value).__name__} cannot be written as JSON", _line(error)
    return words if line.startswith("Unable to serialize unknown type") else f"{words}: {line}"


def _line(error: BaseException) -> str:
    return first_line(error) or type(error).__name__


def _short(path: str) -> str:
    return path if len(path) <= LONGEST_PATH else f"{path[: LONGEST_PATH // 2]}…{path[-20:]}"
