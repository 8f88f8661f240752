"""Job types: the functions that clients may have run, and what they may be given."""

import inspect
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from pydantic import BaseModel, PydanticUserError
from pydantic.errors import PydanticInvalidForJsonSchema

from spigot.jobs.budgets.amounts import Amounts
from spigot.jobs.budgets.declared_cost import Budgets, Cost, DeclaredCost

from . import hidden_fields, job_type_checks
from .cost_function import check_cost, declared_amounts
from .function_kinds import dotted_name, is_coroutine_function
from .function_parameters import PayloadForm, payload_form
from .hidden_fields import Path
from .payloads import AcceptedPayload, PayloadRules
from .retry_policy import RetryPolicy

Function = TypeVar("Function", bound=Callable[..., Any])
MARK = "__spigot_job_type__"


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

    @cached_property
    def payload_schema(self) -> dict[str, Any] | None:
        """The JSON schema of the payload; None if JSON schema has no words for it."""
        try:
            return self.payload.model_json_schema()
        except (PydanticInvalidForJsonSchema, PydanticUserError):
            return None

    @property
    def function_name(self) -> str:
        """Where the function is defined, dotted."""
        return dotted_name(self.function)

    @cached_property
    def is_async(self) -> bool:
        """Whether the function is a coroutine function."""
        return is_coroutine_function(self.function)

    @cached_property
    def payload_rules(self) -> PayloadRules:
        """What it takes, and what of that is shown."""
        return PayloadRules(self.name, self.payload, self.log, self.hidden)

    def accept(self, payload: Any) -> AcceptedPayload:
        """Check a payload and return what is kept of it.

        Raises:
            InvalidPayload: It does not fit; tell the client which field and why.
        """
        return self.payload_rules.accept(payload)

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
        model = self.payload_rules.read(json.dumps(fields).encode())
        texts: frozenset[str] = frozenset()
        if self.hidden:
            texts = frozenset(hidden_fields.texts_of(model, self.hidden))
        return BoundFunction(self.form.call(self.function, model), texts)


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


def _name_of(function: object) -> str | None:
    """Return the name under which a function is registered; not that of one it wraps."""
    other = registered_type(function)
    return other.name if other is not None and other.function is function else None
