"""The fields of a payload that nobody is shown: those typed as secrets, and those named so.

A hidden field is known by its path of keys, such as ``("login", "password")``, wherever that
path begins in the payload; lists on the way do not count.
"""

import dataclasses
import inspect
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NewType, get_args, get_type_hints

from pydantic import AliasChoices, AliasPath, BaseModel, RootModel, Secret, SecretBytes, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import to_jsonable_python

Path = tuple[str, ...]

MASK = "**********"
"""What is shown instead, as pydantic shows secrets."""

SECRETS = (Secret, SecretStr, SecretBytes)
SHORTEST_IN_TEXT = 4
"""Shorter values are left in texts: a word with another would be replaced as well."""


def secret_paths(model: type[BaseModel]) -> frozenset[Path]:
    """Return the paths of all fields typed ``SecretStr``, ``SecretBytes`` or ``Secret``."""
    found: set[Path] = set()
    seen: set[Any] = set()
    left: list[Any] = [model]
    while left:
        part = left.pop()
        if part in seen:
            continue
        seen.add(part)
        for paths, annotation in _fields(part):
            types = list(_types(annotation))
            if any(inspect.isclass(t) and issubclass(t, SECRETS) for t in types):
                found |= paths
            left += types
    return frozenset(found)


def named_paths(model: type[BaseModel], names: Iterable[str]) -> frozenset[Path]:
    """Return the paths of fields that are named, by their dotted names and by their aliases.

    Raises:
        ValueError: One names no field of the payload; why is the end of a sentence.
    """
    found: set[Path] = set()
    for name in names:
        first, *rest = name.split(".")
        if first not in model.model_fields:
            raise ValueError(f"hide names no field of the payload: {name!r}")
        field = model.model_fields[first]
        found |= (
            {(*path, *rest) for path in _paths_of(first, field)}
            if rest
            else _paths_of(first, field)
        )
    return frozenset(found)


def masked(value: Any, hidden: Iterable[Sequence[str]], at: Path = ()) -> Any:
    """Return a JSON value with asterisks in the place of what is hidden."""
    paths = [tuple(path) for path in hidden]
    return _masked(value, paths, at) if paths else value


def hidden_values(value: Any, hidden: Iterable[Sequence[str]]) -> set[str]:
    """Return what ``masked`` would mask, as texts: a text may hold them in another place."""
    paths = [tuple(path) for path in hidden]
    return {text for part in _hidden_parts(value, paths, ()) for text in _texts(part)}


def secrets_in(value: Any) -> Iterator[Any]:
    """Return what the secrets in a validated value hold."""
    if isinstance(value, SECRETS):
        yield value.get_secret_value()
    elif isinstance(value, BaseModel):
        yield from secrets_in(list(value.__dict__.values()))
    elif dataclasses.is_dataclass(value) and not inspect.isclass(value):
        yield from secrets_in([getattr(value, f.name, None) for f in dataclasses.fields(value)])
    elif isinstance(value, dict):
        yield from secrets_in([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        for item in value:
            yield from secrets_in(item)


def revealed(value: Any) -> Any:
    """Return a value with its secrets in plain, to be kept for the worker."""
    if isinstance(value, SECRETS):
        return revealed(value.get_secret_value())
    if isinstance(value, BaseModel):
        return revealed(value.model_dump(round_trip=True, by_alias=False))
    if dataclasses.is_dataclass(value) and not inspect.isclass(value):
        return {f.name: revealed(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: revealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [revealed(item) for item in value]
    return value


def without(text: str, values: Iterable[str]) -> str:
    """Return a text, such as a traceback, with asterisks in the place of hidden values."""
    for value in sorted(values, key=len, reverse=True):
        if len(value) >= SHORTEST_IN_TEXT:
            for form in {value, repr(value)[1:-1], json.dumps(value)[1:-1]}:
                text = text.replace(form, MASK)
    return text


def _masked(value: Any, paths: Sequence[Path], at: Path) -> Any:
    if isinstance(value, dict):
        return {
            key: MASK if _is_hidden((*at, key), paths) else _masked(item, paths, (*at, key))
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_masked(item, paths, at) for item in value]
    return value


def _hidden_parts(value: Any, paths: Sequence[Path], at: Path) -> Iterator[Any]:
    if isinstance(value, dict):
        for key, item in value.items():
            if _is_hidden((*at, key), paths):
                yield item
            else:
                yield from _hidden_parts(item, paths, (*at, key))
    elif isinstance(value, list):
        for item in value:
            yield from _hidden_parts(item, paths, at)


def _is_hidden(at: Path, paths: Iterable[Path]) -> bool:
    return any(at[-len(path) :] == path for path in paths)


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield str(key)
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif value is not None and not isinstance(value, bool):
        yield str(value)


def _fields(part: Any) -> Iterator[tuple[set[Path], Any]]:
    """Return the fields of a type that has some, with all names under which they may be sent."""
    if inspect.isclass(part) and issubclass(part, BaseModel):
        fields: Mapping[str, FieldInfo] = part.model_fields
        yield from ((_paths_of(name, field), field.annotation) for name, field in fields.items())
    elif dataclasses.is_dataclass(part) or hasattr(part, "__required_keys__"):  # a TypedDict
        known = getattr(part, "__pydantic_fields__", {})
        for name, hint in _hints(part).items():
            yield _paths_of(name, known[name]) if name in known else {(name,)}, hint


def _hints(part: Any) -> dict[str, Any]:
    try:
        return get_type_hints(part, include_extras=True)
    except Exception:  # a name that only a type checker knows
        return {}


def _paths_of(name: str, field: FieldInfo) -> set[Path]:
    paths: set[Path] = {(name,)}
    for alias in (field.alias, field.validation_alias):
        choices = alias.choices if isinstance(alias, AliasChoices) else [alias]
        for choice in choices:
            if isinstance(choice, AliasPath):
                paths.add(tuple(key for key in choice.path if isinstance(key, str)))
            elif choice is not None:
                paths.add((choice,))
    return paths


def _types(annotation: Any) -> Iterator[Any]:
    """Return the types that an annotation is made of."""
    if isinstance(annotation, NewType):
        annotation = annotation.__supertype__
    if value := getattr(annotation, "__value__", None):  # of a `type` statement
        yield from _types(value)
    for argument in get_args(annotation):
        yield from _types(argument)
    if inspect.isclass(annotation) and issubclass(annotation, RootModel):
        yield from _types(annotation.model_fields["root"].annotation)
    try:
        hash(annotation)
    except TypeError:  # metadata of Annotated, such as a dict
        return
    yield annotation


def jsonable(value: Any) -> Any:
    """Return a value as JSON values, its secrets in plain.

    Raises:
        ValueError: It cannot be written as JSON.
    """
    return to_jsonable_python(revealed(value), by_alias=False)


def moved_secrets(fields: dict[str, Any], model: BaseModel, hidden: Iterable[Path]) -> set[Path]:
    """Return the paths of fields that hold a secret which validators have moved elsewhere.

    Args:
        fields: The payload as it was sent.
        model: What validators made of it.
        hidden: Paths that are hidden anyway.
    """
    secrets = {text for secret in secrets_in(model) for text in _texts(jsonable(secret)) if text}
    if not secrets:
        return set()
    shown = masked(fields, hidden)
    return {
        (name,)
        for name, value in shown.items()
        if any(secret in text for text in _texts(value) for secret in secrets)
    }


def texts_of(model: BaseModel, hidden: Iterable[Path]) -> set[str]:
    """Return the texts of a validated payload that nobody is shown."""
    secrets = {text for secret in secrets_in(model) for text in _texts(jsonable(secret))}
    try:
        return secrets | hidden_values(jsonable(model), hidden)
    except (ValueError, RecursionError):  # only Python can hold it
        return secrets
