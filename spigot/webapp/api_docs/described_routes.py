"""The routes that the API's documentation shows, and what stands before each of them."""

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

VARIABLE = re.compile(r"<(?:[^<>:]+:)?([^<>:]+)>")
METHODS = ("GET", "POST", "PATCH", "DELETE")

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
        found: Description = getattr(self.view, MARK)
        return found

    @property
    def path(self) -> str:
        """The address with its variables in braces."""
        return VARIABLE.sub(r"{\1}", self.rule.rule)

    @property
    def variables(self) -> list[str]:
        """The names in the address."""
        return VARIABLE.findall(self.rule.rule)

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
        always = (REQUEST_ID, *(RATE_LIMITS if self.limited else ()))
        return {
            status: replace(answer, headers=(*answer.headers, *always))
            for status, answer in answers
        }


def described_routes(app: Flask) -> Iterator[Route]:
    """Yield the routes of an app that are ``described``, by address."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        view = app.view_functions[rule.endpoint]
        for method in METHODS:
            if hasattr(view, MARK) and method in (rule.methods or ()):
                yield Route(rule, method, view)
