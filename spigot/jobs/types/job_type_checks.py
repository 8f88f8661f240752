"""What is wrong with a use of ``@job_type``, in one line that names the type and the argument."""

import re
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from spigot.jobs.store import keys

from .function_kinds import why_unfit
from .retry_policy import RetryPolicy

NAME = re.compile(r"\w(?:[\w ./:-]{0,198}[\w./:-])?")


def check_arguments(
    name: Any,
    *,
    bucket: Any,
    retries: Any,
    timeout: Any,
    log: Any,
    hide: Any,
    internal: Any,
) -> RetryPolicy:
    """Check the arguments that need no function, and return the retries as a policy.

    Raises:
        ValueError: One cannot be used.
    """
    if callable(name):
        raise ValueError(
            f"@job_type of {getattr(name, '__qualname__', name)!r} lacks its name: write "
            '@job_type("name")'
        )
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"job type {name!r}: name must be 1 to 200 letters, digits, inner spaces and any of "
            "_ - . : /, beginning with a letter, a digit or _"
        )
    if not isinstance(bucket, str) or not keys.BUCKET.fullmatch(bucket):
        raise ValueError(
            f"job type {name!r}: bucket must be small letters, digits and _, beginning with a "
            f"letter, not {bucket!r}"
        )
    if not _is_whole(timeout) or timeout < 1:
        raise ValueError(
            f"job type {name!r}: timeout must be a whole number of seconds, at least 1, "
            f"not {timeout!r}"
        )
    for argument, value in (("log", log), ("hide", hide)):
        if not isinstance(value, list | tuple | set | frozenset) or not _are_texts(value):
            raise ValueError(
                f"job type {name!r}: {argument} must be a list of names of fields, not {value!r}"
            )
    if not isinstance(internal, bool):
        raise ValueError(f"job type {name!r}: internal must be True or False, not {internal!r}")
    return _policy(name, retries)


def check_function(name: str, function: object, other: str | None) -> None:
    """Check that a function can be a job type.

    Args:
        name: Of the job type.
        function: What is to be registered.
        other: Name under which it is registered already.

    Raises:
        ValueError: It cannot.
    """
    if reason := why_unfit(function):
        raise ValueError(f"job type {name!r}: {reason}")
    if other not in (None, name):
        raise ValueError(
            f"job type {name!r}: the function is the job type {other!r} already; register a "
            "second one that calls it"
        )


def check_log(name: str, log: Iterable[str], hide: Iterable[str], model: type[BaseModel]) -> None:
    """Check that ``log`` names fields of the payload that may be shown.

    Raises:
        ValueError: It does not.
    """
    for field in log:
        if field not in model.model_fields:
            raise ValueError(f"job type {name!r}: log names no field of the payload: {field!r}")
        if field in hide:
            raise ValueError(f"job type {name!r}: {field!r} is in log and in hide")


def mark(name: str, function: Callable[..., Any], attribute: str, registered: object) -> None:
    """Leave the job type where the catalog finds it.

    Raises:
        ValueError: The object takes no attributes.
    """
    try:
        setattr(function, attribute, registered)
    except (AttributeError, TypeError) as error:
        raise ValueError(
            f"job type {name!r}: a {type(function).__name__} takes no attributes, by which it "
            "would be found: register a function that calls it"
        ) from error


def _policy(name: str, retries: Any) -> RetryPolicy:
    if isinstance(retries, RetryPolicy):
        return retries
    if not _is_whole(retries) or retries < 0:
        raise ValueError(
            f"job type {name!r}: retries must be a whole number, at least 0, or a RetryPolicy, "
            f"not {retries!r}"
        )
    return RetryPolicy(retries=retries)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _are_texts(values: Iterable[Any]) -> bool:
    return all(isinstance(value, str) for value in values)
