"""What a job costs, reckoned by a function of its job type from the arguments of the job."""

import inspect
import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

from pydantic import BaseModel

from spigot.jobs.budgets.amounts import Amounts, micro
from spigot.jobs.budgets.declared_cost import Budgets, DeclaredCost, InvalidCost
from spigot.runtime.errors import named_line

from .function_parameters import PayloadForm
from .hidden_fields import without

log = logging.getLogger(__name__)


def declared_amounts(
    declared: DeclaredCost,
    form: PayloadForm,
    payload: BaseModel,
    budgets: Budgets,
    hidden: Callable[[], Iterable[str]],
) -> Amounts:
    """Call the cost function of a job type, and read what it returns.

    Args:
        declared: Its value is the function.
        form: How the type's own function is given its payload.
        payload: Of the job.
        budgets: Those of the bucket; without any, the function is not called.
        hidden: Returns the texts of the payload that nobody is shown.

    Raises:
        InvalidCost: The function raised, or what it returned cannot be used.
    """
    if not budgets:
        return {}
    cost = declared.value
    try:
        value = cost(payload) if form.whole else cost(**_taken_by(cost, form.values(payload)))
    except Exception as error:  # an author's function may raise anything
        log.warning("the cost of job type %s raised %s", declared.type_name, type(error).__name__)
        words = without(named_line(error), frozenset(hidden()))
        raise InvalidCost(declared.type_name, f"cannot be reckoned: {words}") from None
    if inspect.iscoroutine(value):
        value.close()
        raise InvalidCost(
            declared.type_name, "is reckoned by a coroutine: write def, not async def"
        )
    return declared.amounts(value, budgets)


def check_cost(cost: Any, form: PayloadForm) -> None:
    """Check what ``@job_type(cost=…)`` was given, as far as that needs no bucket.

    Raises:
        ValueError: It cannot be used; why is the end of a sentence.
    """
    if callable(cost):
        _check_parameters(cost, form)
    elif cost is not None:
        for name, amount in cost.items() if isinstance(cost, Mapping) else [("", cost)]:
            try:
                micro(amount)
            except ValueError as error:
                raise ValueError(f"cost{f' of {name!r}' if name else ''} {error}") from None


def _check_parameters(cost: Callable[..., Any], form: PayloadForm) -> None:
    try:
        signature = inspect.signature(cost)
    except (TypeError, ValueError) as error:
        raise ValueError(f"cost cannot be called: {error}") from error
    if form.whole:
        names: Collection[str] = {form.whole}
        fits = _binds(signature, None)
    else:
        names = {*form.positional, *form.named}
        fits = _binds(signature, **_taken_by(cost, dict.fromkeys(names)))
    if not fits:
        taken = ", ".join(signature.parameters) or "nothing"
        raise ValueError(
            f"cost takes {taken}; it is called by name with those of the function's arguments that "
            f"it takes, of {', '.join(sorted(names)) or 'none'}"
        )


def _binds(signature: inspect.Signature, *args: Any, **values: Any) -> bool:
    try:
        signature.bind(*args, **values)
    except TypeError:
        return False
    return True


def _taken_by(cost: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the arguments that a cost function takes."""
    parameters = inspect.signature(cost).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return dict(values)
    return {name: value for name, value in values.items() if name in parameters}
