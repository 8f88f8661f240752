"""The answers that turn a request away at the door.

Source: draft-ietf-httpapi-ratelimit-headers-10 (problem types); RFC 6585, section 4.
"""

from typing import Any

from flask import Response

from spigot.webapp.door.rate_limits.decision import Decision, Verdict
from spigot.webapp.door.rate_limits.outcomes import WRONG_PASSWORD
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem

from .headers import whole_seconds

TYPES = "https://iana.org/assignments/http-problem-types#"


def refusal(decision: Decision) -> Response:
    """Build the answer to a request that was not admitted."""
    names = [check.rule.name for check in decision.violated]
    policies: dict[str, Any] = {"violated-policies": names}
    if decision.verdict is Verdict.FORBIDDEN:
        return problem(
            403,
            "requests from this address are not served",
            type=ProblemType.NOT_SERVED,
            **policies,
        )
    wait = whole_seconds(decision.wait_us)
    kind, detail = _explain(decision.verdict)
    if WRONG_PASSWORD in names:
        detail = "too many wrong passwords came from this client; the right one passes at once"
    if any(check.rule_cost.unpayable for check in decision.violated):
        detail = "these rate limits never admit so long a list at once: send it in parts"
    return problem(
        429,
        f"{detail}; come back in {wait} s",
        type=TYPES + kind,
        headers={"Retry-After": str(wait), "Cache-Control": "no-store"},
        **policies,
    )


def _explain(verdict: Verdict) -> tuple[str, str]:
    if verdict is Verdict.BANNED:
        return "abnormal-usage-detected", "this client is shut out for a while"
    if verdict is Verdict.UNDECIDED:
        return "temporary-reduced-capacity", "the rate limits cannot be checked at the moment"
    return "quota-exceeded", "the rate limits of this client are used up"
