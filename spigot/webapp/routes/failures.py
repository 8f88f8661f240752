"""``/failures``: what fails, in groups, and how it is let run again."""

import logging
from dataclasses import dataclass
from typing import Annotated

from flask import Blueprint, abort, current_app, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, ConfigDict, Field

from spigot.jobs.job.failure_members import FailureMembers
from spigot.jobs.job.failures import FailureGroup, FailureIndex
from spigot.webapp.http.accepted import wants_page, with_vary
from spigot.webapp.http.admin import admin_in_words, require_admin
from spigot.webapp.http.admin_change import require_admin_change
from spigot.webapp.http.description import Answer, described
from spigot.webapp.http.forms import is_form
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem
from spigot.webapp.http.request_body import read_model

log = logging.getLogger(__name__)

blueprint = Blueprint("failures", __name__, url_prefix="/failures")


@dataclass(frozen=True, slots=True)
class Failures:
    """What fails."""

    failures: list[FailureGroup]


@dataclass(frozen=True, slots=True)
class Requeued:
    """What came of requeueing.

    Attributes:
        requeued: Jobs that wait again.
        more: Whether the group may have others: ask again.
        refused: Why the others were left; None if the bucket had room.
    """

    requeued: int
    more: bool
    refused: str | None


class Chosen(BaseModel):
    """Which jobs of a group."""

    model_config = ConfigDict(extra="forbid")

    jobs: Annotated[list[str], Field(max_length=500)] | None = None


@blueprint.get("")
@described({200: Answer("The groups, the one that failed last first.", Failures)}, for_admin=True)
def index() -> ResponseReturnValue:
    """Show what fails, grouped by bucket, error and place; to browsers as a page."""
    require_admin()
    if wants_page(request):
        return with_vary(current_app.extensions["failures_page"]())
    groups = FailureIndex(current_app.extensions["redis"]).read(tracebacks=True)
    told = {"failures": [group.to_json() for group in groups]}
    return with_vary(jsonify(told))


@blueprint.post("/<failure_id>/requeue")
@described(
    {
        200: Answer("How many wait again.", Requeued),
        404: "There is no such group.",
    },
    for_admin=True,
)
def requeue(failure_id: str) -> ResponseReturnValue:
    """Let the group's jobs wait again, or those of its jobs that the body names."""
    require_admin_change()
    redis = current_app.extensions["redis"]
    group = _found(FailureIndex(redis), failure_id)
    done = FailureMembers(redis).requeue(group, _chosen())
    if is_form():
        return redirect(url_for("failures.index", requeued=done.requeued), 303)
    refused = None
    if done.refused:
        refused = f"bucket {done.refused.bucket!r} takes no more jobs now"
    return {"requeued": done.requeued, "more": done.more, "refused": refused}


@blueprint.post("/<failure_id>/dismiss")
@described(
    {
        204: Answer("The group is gone until another job fails like it."),
        404: "There is no such group.",
    },
    for_admin=True,
)
def dismiss(failure_id: str) -> ResponseReturnValue:
    """Hide a group until one more job fails like it; its jobs are kept, and stay failed."""
    require_admin_change()
    index = FailureIndex(current_app.extensions["redis"])
    group = _found(index, failure_id)
    index.forget(group.id)
    log.info("%s dismisses %s in bucket %s", admin_in_words(), group.error, group.bucket)
    if is_form():
        return redirect(url_for("failures.index", dismissed=group.error), 303)
    return "", 204


def _found(index: FailureIndex, failure_id: str) -> FailureGroup:
    group = index.find(failure_id)
    if group is None:
        detail = f"there is no group {failure_id!r}: its failures are no longer kept"
        abort(problem(404, detail, type=ProblemType.NO_SUCH_FAILURE))
    return group


def _chosen() -> list[str] | None:
    if is_form():
        return request.form.getlist("job") or None
    return read_model(Chosen).jobs if request.get_data() else None
