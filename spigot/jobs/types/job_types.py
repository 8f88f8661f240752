"""Job types: the functions that clients may have run, and what they may be given."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, JsonValue, ValidationError
from pydantic_core import to_json, to_jsonable_python

from spigot.jobs.budgets.amounts import Amounts
from spigot.jobs.budgets.declared_cost import Budgets, Cost, DeclaredCost
from spigot.runtime.errors import PortableError

from . import hidden_fields, job_type_checks
from .cost_function import check_cost, declared_amounts
from .function_kinds import dotted_name, innermost
from .function_parameters import PayloadForm, payload_form
from .hidden_fields import Path
from .retry_policy import RetryPolicy

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "__spigot_job_type__"

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
        logged: What the result log shows of it.
        hidden: Paths of what nobody is shown of ``fields``.
        model: What the function is given.
    """

    fields: dict[str, JsonValue]
    logged: dict[str, JsonValue]
    hidden: frozenset[Path]
    model: BaseModel


@dataclass(frozen=True, slots=True)
class BoundFunction:
    """A function and the payload of one job.

    Attributes:
        call: Calls it.
        hidden: Texts of the payload that nobody is shown.
    """

    call: Callable[[], Any]
    hidden: frozenset[str] = frozenset()


@dataclass(frozen=True, eq=False)
class JobType:
    """A registered function and how its jobs are treated.

    A payload is kept as it was sent, and validated once for each call of the function: what
    validators make of it would not always pass them again.

    Attributes:
        name: What clients call it.
        function: What is run.
        form: How the function is given its payload.
        bucket: Bucket that its jobs wait in.
        retries: What happens when it raises.
        timeout: Seconds it may run, >= 1.
        log: Fields of the payload that the result log shows.
        hidden: Paths of the payload's fields that nobody is shown.
        internal: Whether only code may enqueue it: clients are not told that it exists.
        cost: What its jobs cost, as it was declared.
    """

    name: str
    function: Callable[..., Any]
    form: PayloadForm
    bucket: str
    retries: RetryPolicy
    timeout: int
    log: tuple[str, ...]
    hidden: frozenset[Path]
    internal: bool = False
    cost: Cost | Callable[..., Cost] | None = None

    @property
    def payload(self) -> type[BaseModel]:
        """The model of the payload."""
        return self.form.model

    @property
    def function_name(self) -> str:
        """Where the function is defined, dotted."""
        return dotted_name(self.function)

    @property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return inspect.iscoroutinefunction(innermost(self.function))

    def accept(self, payload: Any) -> AcceptedPayload:
        """Check a payload and return what is kept of it.

        Defaults that a factory of the payload's own fields makes are made now, so that each
        attempt gets the same; others are filled in when the function is called.

        Raises:
            InvalidPayload: It does not fit; tell the client which field and why.
        """
        fields, text = self._as_sent(payload)
        model = self._validated(text)
        fields = self._with_made_defaults(fields, model)
        hidden = self.hidden
        if hidden:
            hidden |= hidden_fields.moved_secrets(fields, model, hidden)
        return AcceptedPayload(fields, self._logged(model), hidden, model)

    @property
    def declared_cost(self) -> DeclaredCost:
        """What its jobs cost, as far as that is known without a payload."""
        return DeclaredCost(self.name, self.bucket, self.cost)

    def cost_of(
        self, payload: AcceptedPayload, budgets: Budgets, given: Cost | None = None
    ) -> Amounts:
        """Return what a job costs of each budget of its bucket.

        Args:
            payload: Of the job.
            budgets: Those of the bucket.
            given: A cost that goes before the type's own.

        Raises:
            InvalidCost: It cannot be used with these budgets.
        """
        if given is not None or not callable(self.cost):
            value = self.cost if given is None else given
            return self.declared_cost.amounts(value, budgets)
        return declared_amounts(
            self.declared_cost,
            self.form,
            payload.model,
            budgets,
            hidden=lambda: hidden_fields.texts_of(payload.model, payload.hidden),
        )

    def bind(self, fields: Mapping[str, Any]) -> BoundFunction:
        """Return the function bound to a payload that was accepted.

        Raises:
            InvalidPayload: It does not fit any more: validators or the model have changed.
        """
        model = self._validated(json.dumps(fields).encode())
        texts: frozenset[str] = frozenset()
        if self.hidden:
            texts = frozenset(hidden_fields.texts_of(model, self.hidden))
        return BoundFunction(self.form.call(self.function, model), texts)

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
            given = self.payload.model_validate(payload, by_name=True)
        except ValidationError as error:
            raise InvalidPayload(self.name, wrong_fields(error)) from None
        try:
            read = self._validated(text)
        except InvalidPayload as error:
            raise self._invalid(f"{CHANGED} ({error.errors[0]['field']})") from None
        if given != read and _plain(given) != _plain(read):
            raise self._invalid(CHANGED)

    def _validated(self, text: bytes) -> BaseModel:
        try:
            return self.payload.model_validate_json(text, by_name=True)
        except ValidationError as error:  # whose own words would show the payload
            raise InvalidPayload(self.name, wrong_fields(error)) from None

    def _with_made_defaults(
        self, fields: dict[str, JsonValue], model: BaseModel
    ) -> dict[str, JsonValue]:
        names = [
            name
            for name, field in type(model).model_fields.items()
            if field.default_factory is not None and name not in model.model_fields_set
        ]
        if not names:
            return fields
        try:
            made, text = _written(
                {**fields, **{name: hidden_fields.jsonable(getattr(model, name)) for name in names}}
            )
            again = self._validated(text)
        except (
            ValueError,
            RecursionError,
        ):  # only Python can hold it: it is made when it is called
            return fields
        same = all(getattr(again, name) == getattr(model, name) for name in names)
        return made if same else fields

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
        return InvalidPayload(self.name, [{"field": "payload", "problem": problem}])


def job_type(
    name: str,
    *,
    bucket: str = "default",
    retries: int | RetryPolicy = 0,
    timeout: int = 180,
    log: Sequence[str] = (),
    hide: Sequence[str] = (),
    payload: type[BaseModel] | None = None,
    internal: bool = False,
    cost: Cost | Callable[..., Cost] | None = None,
) -> Callable[[Function], Function]:
    """Register the function below as the job type ``name``.

    The function stays what it was and can be called as before. It is found when its module, or
    one that imports it, is named in ``SPIGOT_APPS``. It may be a coroutine function, a cached
    function, a partial, or an object with ``__call__``; no generator, class or method.

    Args:
        name: What clients call it.
        bucket: Bucket that its jobs wait in.
        retries: How often it is run again after it raised, or a whole policy.
        timeout: Seconds it may run, >= 1.
        log: Fields of the payload that the result log shows; nothing else of it is logged.
        hide: Fields of the payload that nobody is shown, not even the admin, as if they were
            typed ``SecretStr``; ``login.password`` is a field of a field.
        payload: Model of the payload; None makes one from the function's annotations. A
            parameter that is annotated with the model is given the model.
        internal: Whether only code may enqueue it, with ``enqueue``, ``submit`` or the command:
            ``POST /jobs`` answers as if there were no such type, and the API's documentation
            leaves it out.
        cost: What a job takes of the budgets of its bucket (docs/budgets.md): a number for each by
            name, or one number, where one budget has no cost of its own; or a function that
            returns it, called with those of the function's arguments that it takes.

    Raises:
        ValueError: An argument cannot be used, or the function cannot be given a payload.
    """
    checked = job_type_checks.check_arguments(
        name,
        bucket=bucket,
        retries=retries,
        timeout=timeout,
        log=log,
        hide=hide,
        internal=internal,
    )

    def register(function: Function) -> Function:
        job_type_checks.check_function(name, function, _name_of(function))
        try:
            form = payload_form(name, function, payload)
            hidden = hidden_fields.named_paths(form.model, hide)
            check_cost(cost, form)
        except ValueError as error:
            raise ValueError(f"job type {name!r}: {error}") from error
        job_type_checks.check_log(name, log, hide, form.model)
        registered = JobType(
            name,
            function,
            form,
            bucket,
            checked,
            timeout,
            tuple(log),
            hidden | hidden_fields.secret_paths(form.model),
            internal,
            cost,
        )
        job_type_checks.mark(name, function, MARK, registered)
        return function

    return register


def registered_type(value: object) -> JobType | None:
    """Return the job type that an object of a module is, without touching it.

    It may be anything, such as Flask's ``request``, which has no attributes now.
    """
    found = None if inspect.isclass(value) else inspect.getattr_static(value, MARK, None)
    return found if isinstance(found, JobType) else None


def wrong_fields(error: ValidationError, *, whole: str = "payload") -> list[dict[str, str]]:
    """Return one mapping per wrong field: ``field`` (dotted; ``whole`` for all) and ``problem``."""
    return [
        {"field": ".".join(map(str, problem["loc"])) or whole, "problem": problem["msg"]}
        for problem in error.errors(include_url=False, include_input=False)
    ]


def _written(payload: Any) -> tuple[Any, bytes]:
    """Return the JSON values of a payload, and their JSON; JSON values are returned as they are.

    Raises:
        ValueError: It cannot be written: infinite, not a number, half a surrogate pair, or of a
            type that is no JSON.
    """
    try:
        return payload, json.dumps(payload, ensure_ascii=False, allow_nan=False).encode()
    except TypeError:
        values = hidden_fields.jsonable(payload)
        return values, json.dumps(values, ensure_ascii=False, allow_nan=False).encode()


def _name_of(function: object) -> str | None:
    """Return the name under which a function is registered; not that of one it wraps."""
    other = registered_type(function)
    return other.name if other is not None and other.function is function else None


def _plain(model: BaseModel) -> Any:
    try:
        return hidden_fields.jsonable(model)
    except (ValueError, RecursionError):
        return None


def _line(error: Exception) -> str:
    return str(error).partition("\n")[0]
