"""How a function is given its payload: the model of it, and the way from there to a call."""

import functools
import inspect
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from inspect import Parameter
from itertools import takewhile
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, RootModel, create_model

VARIABLE = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)


@dataclass(frozen=True)
class PayloadForm:
    """What a function is given.

    Attributes:
        model: Of the payload.
        whole: Name of the parameter that is given the model itself; "" if the parameters are
            given its fields.
        positional: Fields that are passed by position, in their order.
        named: Fields that are passed by name.
        extra: Whether fields that the model only allows are passed by name too.
    """

    model: type[BaseModel]
    whole: str = ""
    positional: tuple[str, ...] = ()
    named: tuple[str, ...] = ()
    extra: bool = False

    def call(self, function: Callable[..., Any], payload: BaseModel) -> Callable[[], Any]:
        """Return the function bound to a payload that was validated."""
        if self.whole:
            by_position = self.whole in self.positional
            return functools.partial(
                function,
                *([payload] if by_position else []),
                **({} if by_position else {self.whole: payload}),
            )
        values = self.values(payload)
        args = [values.pop(name) for name in self.positional]
        return functools.partial(function, *args, **values)

    def values(self, payload: BaseModel) -> dict[str, Any]:
        """Return the function's arguments by name, as a payload that was validated has them."""
        if self.whole:
            return {self.whole: payload}
        values = {name: getattr(payload, name) for name in (*self.positional, *self.named)}
        if self.extra:
            values |= payload.model_extra or {}
        return values


def payload_form(
    name: str, function: Callable[..., Any], model: type[BaseModel] | None
) -> PayloadForm:
    """Find out how a function is given its payload.

    Args:
        name: Of the job type.
        function: That it calls.
        model: Of the payload; None makes one from the function's annotations.

    Raises:
        ValueError: The function cannot be given such a payload; why is the end of a sentence.
    """
    parameters = _parameters(function)
    if model is None:
        return _form_of_fields(_model_of(name, parameters), parameters)
    if not (inspect.isclass(model) and issubclass(model, BaseModel)):
        raise ValueError(f"payload must be a pydantic model, not {model!r}")
    whole = [p for p in parameters if _takes(p, model)]
    if len(whole) == 1:
        return _form_of_whole(model, whole[0], parameters)
    if issubclass(model, RootModel):
        raise ValueError(f"annotate one parameter with {model.__name__}, which has no fields")
    return _form_of_fields(model, parameters)


def _parameters(function: Callable[..., Any]) -> list[Parameter]:
    """Return the parameters that a payload may fill; not those that a partial has filled."""
    try:
        signature = inspect.signature(function, eval_str=True)
    except Exception as error:  # an annotation is evaluated: it may raise anything
        raise ValueError(f"its annotations cannot be read: {error}") from error
    filled: set[str] = set()
    while isinstance(function, functools.partial):
        filled |= function.keywords.keys()
        function = function.func
    return [p for p in signature.parameters.values() if p.name not in filled]


def _model_of(name: str, parameters: list[Parameter]) -> type[BaseModel]:
    for parameter in parameters:
        if parameter.kind in VARIABLE:
            stars = str(parameter).partition(parameter.name)[0]
            raise ValueError(f"{stars}{parameter.name} says nothing of the payload")
        if parameter.annotation is parameter.empty:
            raise ValueError(f"parameter {parameter.name!r} has no annotation")
        if parameter.name.startswith("_"):
            raise ValueError(f"parameter {parameter.name!r} begins with an underscore")
    fields: dict[str, Any] = {
        p.name: (p.annotation, ... if p.default is p.empty else p.default) for p in parameters
    }
    config = ConfigDict(extra="forbid", protected_namespaces=())
    try:
        with warnings.catch_warnings():  # that a parameter named `json` hides a method is no harm
            warnings.filterwarnings("ignore", message="Field name .* shadows an attribute")
            return create_model(name, __config__=config, **fields)
    except Exception as error:  # pydantic has a dozen kinds of them
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise ValueError(f"no payload can be made of its annotations: {reason}") from error


def _takes(parameter: Parameter, model: type[BaseModel]) -> bool:
    annotation = parameter.annotation
    if get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    is_model = inspect.isclass(annotation) and issubclass(annotation, BaseModel)
    return is_model and issubclass(model, annotation) and parameter.kind not in VARIABLE


def _form_of_whole(
    model: type[BaseModel], whole: Parameter, parameters: list[Parameter]
) -> PayloadForm:
    for parameter in parameters:
        if parameter is not whole and _is_needed(parameter):
            raise ValueError(f"nothing is there for parameter {parameter.name!r}")
    first = parameters[0] is whole and whole.kind is not Parameter.KEYWORD_ONLY
    if whole.kind is Parameter.POSITIONAL_ONLY and not first:
        raise ValueError(f"parameter {whole.name!r} must be the first, or be passed by name")
    return PayloadForm(model, whole.name, positional=(whole.name,) if first else ())


def _form_of_fields(model: type[BaseModel], parameters: list[Parameter]) -> PayloadForm:
    fields = model.model_fields
    takes_any = any(p.kind is Parameter.VAR_KEYWORD for p in parameters)
    by_position = [p for p in parameters if p.kind is Parameter.POSITIONAL_ONLY]
    positional = [p.name for p in takewhile(lambda p: p.name in fields, by_position)]
    by_name = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    named = [p.name for p in by_name if p.name in fields]
    for parameter in parameters:
        if parameter.name not in (*positional, *named) and _is_needed(parameter):
            raise ValueError(f"the payload has no field for parameter {parameter.name!r}")
    left = [name for name in fields if name not in (*positional, *named)]
    if left and not takes_any:
        raise ValueError(f"no parameter takes the field {left[0]!r} of the payload")
    return PayloadForm(model, "", tuple(positional), (*named, *left), extra=takes_any)


def _is_needed(parameter: Parameter) -> bool:
    return parameter.default is parameter.empty and parameter.kind not in VARIABLE
