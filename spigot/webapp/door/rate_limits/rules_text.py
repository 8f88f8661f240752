"""Reads the text of ``rate_limits.json``, and says which rule and field cannot be used."""

import json
from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from spigot.runtime.errors import OperatorError
from spigot.runtime.wrong_field import (
    RepeatedNameError,
    about_unknown_field,
    unique_names,
    wrong_value,
)

from .rule import Rule
from .rules import DEFAULT, Rules
from .written_rule import WrittenRule

USUAL_NAME = "rate_limits.json"


class RulesError(OperatorError):
    """Rules cannot be used; the message names the rule and the field, and what is allowed."""


def parse_rules(text: str) -> Rules:
    """Read an object of rules by name.

    Raises:
        RulesError: It cannot be used.
    """
    try:
        written = json.loads(text, object_pairs_hook=unique_names, parse_constant=_no_constant)
    except RepeatedNameError as error:
        raise RulesError(str(error)) from error
    except (ValueError, RecursionError) as error:
        raise RulesError(f"is no JSON: {error}") from error
    return build_rules(written)


def build_rules(written: Any) -> Rules:
    """Build the rules from an object of them by name.

    Raises:
        RulesError: It cannot be used.
    """
    if not isinstance(written, Mapping):
        raise RulesError("must be an object of rules by name; {} means no limits")
    return Rules({name: _build_rule(name, fields) for name, fields in written.items()})


def _build_rule(name: str, fields: Any) -> Rule:
    if not 1 <= len(name) <= 100:
        raise RulesError(f"rule {name!r}: the name must have 1 to 100 characters")
    try:
        rule = WrittenRule.model_validate(fields).rule(name)
    except ValidationError as error:
        raise RulesError(f"rule {name!r}: {_first_problem(error)}") from error
    if name == DEFAULT and rule.match:
        raise RulesError(f"rule {name!r}: match: it applies where no other rule does")
    return rule


def _first_problem(error: ValidationError) -> str:
    problems = error.errors()
    unknown = (problem for problem in problems if problem["type"] == "extra_forbidden")
    problem = next(unknown, problems[0])
    message = wrong_value(problem)
    field = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        message = about_unknown_field(field, list(WrittenRule.model_fields), USUAL_NAME)
    return f"{field}: {message}" if field else message


def _no_constant(constant: str) -> None:
    raise RulesError(f"{constant} is no JSON number")
