"""Payloads: what clients send for a job, what is kept of it, and what the function is given."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import to_json, to_jsonable_python

from spigot.runtime.errors import PortableError
from spigot.runtime.wrong_field import wrong_value

from . import hidden_fields
from .hidden_fields import Path

WRITER = json.JSONEncoder(ensure_ascii=False, allow_nan=False)

CHANGED = (
    "the worker would not read it as the same; give a dict of what a client would send, as "
    "validators see it first"
)


class InvalidPayload(PortableError, ValueError):
    """A payload is not what its job type takes.

    Attributes:
        errors: One mapping per wrong field: ``field`` (dotted) and ``problem``.
    """

    def __init__(self, job_type: str, errors: Sequence[Mapping[str, str]]) -> None:
        self.errors = [dict(error) for error in errors]
        self._job_type = job_type
        problems = "; ".join(f"{error['field']}: {error['problem']}" for error in errors)
        super().__init__(f"payload of job type {job_type!r}: {problems}")

    def of_item(self, index: int) -> "InvalidPayload":
        """Return the error for a payload that is one of several; fields begin with its index."""
        of_item = [{**error, "field": f"{index}.{error['field']}"} for error in self.errors]
        return InvalidPayload(self._job_type, of_item)


@dataclass(frozen=True, slots=True)
class AcceptedPayload:
    """A payload that fits its job type.

    Attributes:
        fields: What is kept for the worker: what was sent, not what validators made of it.
        text: The same as JSON.
        logged: What the result log shows of it.
        hidden: Paths of what nobody is shown of ``fields``.
        model: What the function is given.
    """

    fields: dict[str, JsonValue]
    text: bytes
    logged: dict[str, JsonValue]
    hidden: frozenset[Path]
    model: BaseModel


@dataclass(frozen=True, slots=True)
class PayloadRules:
    """What a job type takes, and what of it is shown.

    A payload is kept as it was sent, and validated once for each call of the function: what
    validators make of it would not always pass them again.

    Attributes:
        type_name: Of the job type.
        model: Of the payload.
        log: Fields that the result log shows.
        hidden: Paths of fields that nobody is shown.
    """

    type_name: str
    model: type[BaseModel]
    log: tuple[str, ...]
    hidden: frozenset[Path]

    def accept(self, payload: Any) -> AcceptedPayload:
        """Check a payload and return what is kept of it.

        Defaults that a factory of the payload's own fields makes are made now, so that each
        attempt gets the same; others are filled in when the function is called.

        Raises:
            InvalidPayload: It does not fit; tell the client which field and why.
        """
        fields, text = self._as_sent(payload)
        model = self.read(text)
        fields, text = self._with_made_defaults(fields, text, model)
        hidden = self.hidden
        if hidden:
            hidden |= hidden_fields.moved_secrets(fields, model, hidden)
        return AcceptedPayload(fields, text, self._logged(model), hidden, model)

    def read(self, text: bytes) -> BaseModel:
        """Return what the function is given of a payload that is JSON.

        Raises:
            InvalidPayload: It does not fit.
        """
        try:
            return self.model.model_validate_json(text, by_name=True)
        except ValidationError as error:  # whose own words would show the payload
            raise InvalidPayload(self.type_name, wrong_fields(error)) from None

    def _as_sent(self, payload: Any) -> tuple[dict[str, JsonValue], bytes]:
        """Return a payload as a client would send it, and the JSON of that."""
        try:
            sent, text = _written(payload)
        except (ValueError, RecursionError) as error:
            raise self._invalid(f"cannot be written as JSON: {_line(error)}") from None
        if not isinstance(sent, dict):
            raise self._invalid("Input should be an object")
        if sent is not payload:
            self._check_same(payload, text)
        return sent, text

    def _check_same(self, payload: Any, text: bytes) -> None:
        """Refuse what the worker would read as something else, such as a changed model."""
        try:
            given = self.model.model_validate(payload, by_name=True)
        except ValidationError as error:
            raise InvalidPayload(self.type_name, wrong_fields(error)) from None
        try:
            read = self.read(text)
        except InvalidPayload as error:
            raise self._invalid(f"{CHANGED} ({error.errors[0]['field']})") from None
        if given != read and _plain(given) != _plain(read):
            raise self._invalid(CHANGED)

    def _with_made_defaults(
        self, fields: dict[str, JsonValue], text: bytes, model: BaseModel
    ) -> tuple[dict[str, JsonValue], bytes]:
        names = [name for name in _made_defaults(type(model)) if name not in model.model_fields_set]
        if not names:
            return fields, text
        try:
            made, made_text = _written(
                {**fields, **{name: hidden_fields.jsonable(getattr(model, name)) for name in names}}
            )
            again = self.read(made_text)
        except (ValueError, RecursionError):  # only Python can hold it: made when it is called
            return fields, text
        same = all(getattr(again, name) == getattr(model, name) for name in names)
        return (made, made_text) if same else (fields, text)

    def _logged(self, model: BaseModel) -> dict[str, JsonValue]:
        """Return the part of the payload that the result log shows, as the function gets it."""
        if not self.log:
            return {}
        try:
            written = model.model_dump(mode="json", include=set(self.log), by_alias=False)
            for name in self.log:  # a field may be left out of what the model writes
                if name not in written:
                    written[name] = to_jsonable_python(getattr(model, name))
            shown = json.loads(to_json(written, inf_nan_mode="strings"))
        except ValueError as error:
            raise self._invalid(f"cannot be written to the result log: {_line(error)}") from None
        return hidden_fields.masked(  # type: ignore[no-any-return]
            {name: shown[name] for name in self.log}, self.hidden
        )

    def _invalid(self, problem: str) -> InvalidPayload:
        return InvalidPayload(self.type_name, [{"field": "payload", "problem": problem}])


def wrong_fields(error: ValidationError, *, whole: str = "payload") -> list[dict[str, str]]:
    """Return one mapping per wrong field: ``field`` (dotted; ``whole`` for all) and ``problem``."""
    return [
        {"field": ".".join(map(str, problem["loc"])) or whole, "problem": wrong_value(problem)}
        for problem in error.errors(include_url=False, include_input=False)
    ]


def _written(payload: Any) -> tuple[Any, bytes]:
    """Return the JSON values of a payload, and their JSON; JSON values are returned as they are.

    Raises:
        ValueError: It cannot be written: infinite, not a number, half a surrogate pair, or of a
            type that is no JSON.
    """
    try:
        return payload, WRITER.encode(payload).encode()
    except TypeError:
        values = hidden_fields.jsonable(payload)
        return values, WRITER.encode(values).encode()


@lru_cache(maxsize=256)
def _made_defaults(model: type[BaseModel]) -> tuple[str, ...]:
    """Return the names of fields whose defaults are made anew for each payload."""
    fields = model.model_fields.items()
    return tuple(name for name, field in fields if field.default_factory is not None)


def _plain(model: BaseModel) -> Any:
    try:
        return hidden_fields.jsonable(model)
    except (ValueError, RecursionError):
        return None


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
