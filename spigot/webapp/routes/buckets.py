"""``/buckets``: what waits, and how fast it leaks."""

from dataclasses import asdict, dataclass
from typing import Any, NoReturn

from flask import Blueprint, Response, abort, current_app, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue
from pydantic import ValidationError

from spigot.jobs.bucket.configuring import UnknownBucketError
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.bucket.state import BucketReader, BucketState
from spigot.jobs.budgets.budget_change import BudgetChangeError
from spigot.jobs.types.payloads import wrong_fields
from spigot.webapp.http.accepted import wants_page, with_vary
from spigot.webapp.http.admin import admin_in_words
from spigot.webapp.http.admin_change import require_admin_change
from spigot.webapp.http.description import NO_FORM, Answer, described
from spigot.webapp.http.forms import require_form
from spigot.webapp.http.no_such_bucket import no_such_bucket_problem
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem
from spigot.webapp.http.request_body import InvalidBody, read_model

blueprint = Blueprint("buckets", __name__, url_prefix="/buckets")


@dataclass(frozen=True, slots=True)
class Buckets:
    """All buckets, by name."""

    buckets: list[BucketState]


@dataclass(frozen=True, slots=True)
class Purged:
    """What came of cancelling all jobs that wait.

    Attributes:
        cancelled: How many there were.
    """

    cancelled: int


@blueprint.get("")
@described({200: Answer("All buckets.", Buckets)})
def index() -> ResponseReturnValue:
    """Show all buckets."""
    reader: BucketReader = current_app.extensions["bucket_reader"]
    return asdict(Buckets(reader.read_all()))


@blueprint.get("/<name>")
@described({200: Answer("The bucket.", BucketState), 404: "There is no such bucket."})
def show(name: str) -> ResponseReturnValue:
    """Show one bucket."""
    if wants_page(request):
        return with_vary(current_app.extensions["bucket_page"](name))
    return with_vary(jsonify(_read(name)))


@blueprint.patch("/<name>")
@described(
    {
        200: Answer("The bucket as it is now.", BucketState),
        422: "A field is wrong, or the bucket has no such budget.",
    },
    body=BucketChange,
    for_admin=True,
)
def change(name: str) -> ResponseReturnValue:
    """Let the admin's numbers count, from the next leak on."""
    require_admin_change()
    wanted = read_model(BucketChange)
    control = _control()
    try:
        control.set(name, wanted)
        if "held_until" in wanted.model_fields_set:
            control.release(name)
    except UnknownBucketError:
        _not_found(name)
    except BudgetChangeError as error:
        return _wrong_budget(error)
    return _read(name)


@blueprint.post("/<name>/purge")
@described(
    {200: Answer("How many were cancelled.", Purged), 404: "There is no such bucket."},
    for_admin=True,
)
def purge(name: str) -> ResponseReturnValue:
    """Cancel all jobs that wait in a bucket, those that wait for a time too."""
    require_admin_change()
    return asdict(Purged(_purge(name)))


@blueprint.post("/<name>/form")
@described(
    {
        303: Answer("It was done: see the bucket."),
        404: "There is no such bucket.",
        415: NO_FORM,
        422: "A number is wrong, or there is no such action.",
    },
    for_admin=True,
)
def press(name: str) -> ResponseReturnValue:
    """Do what a button says, for forms, which know no PATCH."""
    require_admin_change()
    require_form("PATCH /buckets/NAME, or POST /buckets/NAME/purge")
    action = request.form.get("action", "")
    if action == "purge":
        if request.form.get("sure") != name:
            abort(422, f"nothing was cancelled: type {name} to confirm")
        did = f"purge-{_purge(name)}"
    else:
        _do(name, action, {key: text.strip() for key, text in request.form.items()})
        did = action
    return redirect(url_for("buckets.show", name=name, did=did), 303)


def _do(name: str, action: str, fields: dict[str, str]) -> None:
    control = _control()
    try:
        if action == "reset":
            control.reset(name)
        elif action == "release":
            control.release(name)
        else:
            control.set(name, _wanted(action, fields))
    except UnknownBucketError:
        _not_found(name)
    except BudgetChangeError as error:
        abort(_wrong_budget(error))


def _wanted(action: str, fields: dict[str, str]) -> BucketChange:
    value, burst = fields.get("value", ""), fields.get("burst") or None
    changes: dict[str, dict[str, Any]] = {
        "pause": {"paused": True},
        "resume": {"paused": False, "draining": False},
        "drain": {"draining": True},
        "rate": {"rate": value},
        "capacity": {"capacity": value},
        "max_running": {"max_running": value or None},
        "budget": {"budgets": {fields.get("budget", ""): {"limit": value, "burst": burst}}},
    }
    if action not in changes:
        abort(422, f"there is no action {action!r}; known: {', '.join([*changes, 'release'])}")
    try:
        return BucketChange.model_validate(changes[action])
    except ValidationError as error:
        raise InvalidBody(wrong_fields(error, whole="form")) from error


def _purge(name: str) -> int:
    try:
        return _control().purge(name, keep_seconds=current_app.extensions["keep_seconds"])
    except UnknownBucketError:
        _not_found(name)


def _control() -> BucketControl:
    return BucketControl(current_app.extensions["redis"], admin_in_words())


def _read(name: str) -> dict[str, Any]:
    reader: BucketReader = current_app.extensions["bucket_reader"]
    bucket = reader.read(name)
    if bucket is None:
        _not_found(name)
    return bucket.to_json()


def _wrong_budget(error: BudgetChangeError) -> Response:
    return problem(422, str(error), type=ProblemType.INVALID_BODY)


def _not_found(name: str) -> NoReturn:
    abort(no_such_bucket_problem(name))
