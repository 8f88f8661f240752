"""The routes that the API's documentation shows, and what stands before each of them.

Routes of Spigot are shown if they are ``described``; those of applications all.
"""

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from flask import Flask
from werkzeug.routing import Rule

from spigot.webapp.door.door import EXEMPT
from spigot.webapp.http import request_ids
from spigot.webapp.http.description import (
    MARK,
    RETRY_AFTER,
    Answer,
    Description,
    Value,
    problem_answer,
)

VARIABLE = re.compile(r"<(?:(?P<kind>[^<>:(]+)[^<>:]*:)?(?P<name>[^<>:]+)>")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

OF_APPLICATION = Description({}, needs_server=False)
"""Of a route that says nothing of itself but its docstring."""

SCHEMAS = {"int": {"type": "integer"}, "float": {"type": "number"}, "uuid": {"format": "uuid"}}
"""Of variables in an address, by the converter."""

NOT_OF_APPLICATION = {"spigot", "rq_dashboard", "flask", "werkzeug"}
EXAMPLES = "spigot.examples"

REQUEST_ID = Value(request_ids.HEADER, "The request's name in the logs: yours, if you sent one.")

RATE_LIMITS = (
    Value("RateLimit-Policy", "The rules that applied, with quota and window."),
    Value("RateLimit", "What each of them has left, and until when."),
    Value("X-RateLimit-Limit", "Of the tightest rule."),
    Value("X-RateLimit-Remaining", "Requests that are left of it."),
    Value("X-RateLimit-Reset", "Seconds until there are more."),
)

REFUSALS = {
    403: problem_answer("Requests from this address are not served."),
    429: problem_answer("A rate limit of this client is used up.", [RETRY_AFTER]),
}
AWAY = problem_answer("The server that keeps the jobs does not answer.", [RETRY_AFTER])
BODY_PROBLEMS = {
    400: problem_answer("The body is not JSON."),
    408: problem_answer("The body arrived too slowly."),
    413: problem_answer("The body is too large."),
    415: problem_answer("The body is not said to be JSON in UTF-8."),
    422: problem_answer("A field is missing or wrong; `errors` says which and why."),
}
ADMIN_PROBLEMS = {
    401: problem_answer("The admin's credentials are missing or wrong."),
    404: problem_answer("There is none, or no admin password is set."),
}


@dataclass(frozen=True)
class Route:
    """One method of one address."""

    rule: Rule
    method: str
    view: Any

    @property
    def description(self) -> Description:
        """What stands beside the view."""
        found: Description = getattr(self.view, MARK, OF_APPLICATION)
        return found

    @property
    def is_of_application(self) -> bool:
        """Whether an application adds it."""
        return _is_of_application(self.view)

    @property
    def path(self) -> str:
        """The address with its variables in braces."""
        return VARIABLE.sub(r"{\g<name>}", self.rule.rule)

    @property
    def variables(self) -> list[Value]:
        """The variables in the address."""
        return [
            Value(found["name"], "", {"type": "string"} | SCHEMAS.get(found["kind"], {}), "path")
            for found in VARIABLE.finditer(self.rule.rule)
        ]

    @property
    def name(self) -> str:
        """Flask's word for the view, such as ``job.show``."""
        return str(self.rule.endpoint)

    @property
    def limited(self) -> bool:
        """Whether the rule ``default`` applies."""
        return self.rule.rule not in EXEMPT

    def answers(self) -> dict[int, Answer]:
        """Return the view's answers, and those of what stands before it."""
        described = self.description
        common = {503: AWAY} if described.needs_server else {}
        common |= REFUSALS if self.limited else {}
        common |= BODY_PROBLEMS if described.body else {}
        common |= ADMIN_PROBLEMS if described.for_admin else {}
        answers = sorted((common | dict(described.answers)).items())
        return {status: self._with_common_headers(answer) for status, answer in answers}

    def other_answers(self) -> Answer | None:
        """Return what stands for all answers that nobody described; None if all are."""
        unsaid = None if self.description.answers else Answer("As the application says.")
        return unsaid and self._with_common_headers(unsaid)

    def _with_common_headers(self, answer: Answer) -> Answer:
        common = (REQUEST_ID, *(RATE_LIMITS if self.limited else ()))
        return replace(answer, headers=(*answer.headers, *common))


def described_routes(app: Flask) -> Iterator[Route]:
    """Yield the routes of an app to show, by address."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions.get(rule.endpoint)  # a redirection has none
        if view is not None and (hasattr(view, MARK) or _is_of_application(view)):
            for method in METHODS:
                if method in (rule.methods or ()):
                    yield Route(rule, method, view)


def _is_of_application(view: Any) -> bool:
    module = getattr(inspect.unwrap(view), "__module__", None) or type(view).__module__
    of_examples = module == EXAMPLES or module.startswith(f"{EXAMPLES}.")
    return of_examples or module.partition(".")[0] not in NOT_OF_APPLICATION
