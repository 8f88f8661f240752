"""Job types: the functions that clients may have run, and what they may be given."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError, create_model
from pydantic.errors import PydanticInvalidForJsonSchema

from .errors import PortableError
from .retry_policy import RetryPolicy

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "__spigot_job_type__"


class InvalidPayload(PortableError, ValueError):
    """A payload is not what its job type takes.

    Attributes:
        errors: One mapping per wrong field: ``field`` (dotted) and ``problem``.
    """

    def __init__(self, job_type: str, errors: Sequence[Mapping[str, str]]) -> None:
        self.errors = [dict(error) for error in errors]
        problems = "; ".join(f"{error['field']}: {error['problem']}" for error in errors)
        super().__init__(f"payload of job type {job_type!r}: {problems}")


@dataclass(frozen=True)
class JobType:
    """A registered function and how its jobs are treated.

    Attributes:
        name: What clients call it.
        function: What is run.
        payload: Model of what it is given.
        takes_model: True if the function takes the model itself, not its fields.
        bucket: Bucket that its jobs wait in.
        retries: What happens when it raises.
        timeout: Seconds it may run, >= 1.
        log: Fields of the payload that the result log shows.
    """

    name: str
    function: Callable[..., Any]
    payload: type[BaseModel]
    takes_model: bool
    bucket: str
    retries: RetryPolicy
    timeout: int
    log: tuple[str, ...]

    def validate(self, payload: Any) -> dict[str, JsonValue]:
        """Return the payload as JSON values, defaults filled in.

        Raises:
            InvalidPayload: It does not fit; tell the client which field and why.
        """
        try:
            model = self.payload.model_validate(payload, by_name=True)
        except ValidationError as error:
            raise InvalidPayload(self.name, wrong_fields(error)) from error
        try:
            fields = model.model_dump(mode="json")
            json.dumps(fields, ensure_ascii=False, allow_nan=False).encode()
        except ValueError as error:  # infinite, not a number, or half a surrogate pair
            problem = {"field": "payload", "problem": f"cannot be written as JSON: {error}"}
            raise InvalidPayload(self.name, [problem]) from error
        return fields

    def bind(self, payload: Mapping[str, Any]) -> Callable[[], Any]:
        """Return the function bound to a payload that ``validate`` returned.

        Raises:
            pydantic.ValidationError: The payload was valid for an older version of the model.
        """
        model = self.payload.model_validate(payload, by_name=True)
        if self.takes_model:
            return partial(self.function, model)
        fields = {name: getattr(model, name) for name in type(model).model_fields}
        return partial(self.function, **fields)

    def logged(self, payload: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return the part of the payload that the result log shows."""
        return {field: payload[field] for field in self.log if field in payload}


def job_type(
    name: str,
    *,
    bucket: str = "default",
    retries: int | RetryPolicy = 0,
    timeout: int = 180,
    log: Sequence[str] = (),
    payload: type[BaseModel] | None = None,
) -> Callable[[Function], Function]:
    """Register the function below as the job type ``name``.

    The function stays what it was and can be called as before. It is found when its module, or
    one that imports it, is named in ``SPIGOT_APPS``.

    Args:
        name: What clients call it.
        bucket: Bucket that its jobs wait in.
        retries: How often it is run again after it raised, or a whole policy.
        timeout: Seconds it may run, >= 1.
        log: Fields of the payload that the result log shows; nothing else of it is logged.
        payload: Model of the payload; None makes one from the function's annotations. A
            function whose only parameter is annotated with the model is given the model.

    Raises:
        ValueError: An argument cannot be used, ``log`` names no field of the payload, or the
            payload holds a ``SecretStr`` or its like.
    """
    if timeout < 1:
        raise ValueError(f"job type {name!r}: timeout must be at least 1 second, not {timeout}")
    policy = retries if isinstance(retries, RetryPolicy) else RetryPolicy(retries=retries)

    def register(function: Function) -> Function:
        model, takes_model = _payload_model(name, function, payload)
        unknown = set(log) - set(model.model_fields)
        if unknown:
            raise ValueError(f"job type {name!r}: log names no field of the payload: {unknown}")
        if _holds_secrets(model):
            raise ValueError(
                f"job type {name!r}: the payload holds a SecretStr, which pydantic would write "
                "for the worker as asterisks; take a str, or better the name of a secret"
            )
        registered = JobType(
            name, function, model, takes_model, bucket, policy, timeout, tuple(log)
        )
        setattr(function, MARK, registered)
        return function

    return register


def _payload_model(
    name: str, function: Callable[..., Any], payload: type[BaseModel] | None
) -> tuple[type[BaseModel], bool]:
    signature = inspect.signature(function, eval_str=True)
    parameters = list(signature.parameters.values())
    if payload is not None:
        return payload, len(parameters) == 1 and parameters[0].annotation is payload
    for parameter in parameters:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ValueError(f"job type {name!r}: *{parameter.name} says nothing of the payload")
        if parameter.annotation is parameter.empty:
            raise ValueError(f"job type {name!r}: parameter {parameter.name!r} has no annotation")
    fields: dict[str, Any] = {
        p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in parameters
    }
    return create_model(name, __config__=ConfigDict(extra="forbid"), **fields), False


def _holds_secrets(model: type[BaseModel]) -> bool:
    try:
        return '"writeOnly": true' in json.dumps(model.model_json_schema())
    except PydanticInvalidForJsonSchema:  # a type with a validator of its own may have no schema
        return False


def wrong_fields(error: ValidationError, *, whole: str = "payload") -> list[dict[str, str]]:
    """Return one mapping per wrong field: ``field`` (dotted; ``whole`` for all) and ``problem``."""
    return [
        {"field": ".".join(map(str, problem["loc"])) or whole, "problem": problem["msg"]}
        for problem in error.errors(include_url=False)
    ]
