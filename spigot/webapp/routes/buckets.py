"""``/buckets``: what waits, and how fast it leaks."""

from dataclasses import asdict, dataclass
from typing import NoReturn

from flask import Blueprint, abort, current_app
from flask.typing import ResponseReturnValue

from spigot.jobs.bucket.configuring import UnknownBucketError
from spigot.jobs.bucket.control import BucketChange, BucketControl
from spigot.jobs.bucket.state import BucketReader, BucketState
from spigot.jobs.budgets.budget_change import BudgetChangeError
from spigot.webapp.http.admin import admin_in_words, require_admin
from spigot.webapp.http.description import Answer, described
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem
from spigot.webapp.http.request_body import read_model

blueprint = Blueprint("buckets", __name__, url_prefix="/buckets")


@dataclass(frozen=True, slots=True)
class Buckets:
    """All buckets, by name."""

    buckets: list[BucketState]


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
    reader: BucketReader = current_app.extensions["bucket_reader"]
    bucket = reader.read(name)
    if bucket is None:
        _not_found(name)
    return bucket.to_json()


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
    require_admin()
    wanted = read_model(BucketChange)
    control = BucketControl(current_app.extensions["redis"], admin_in_words())
    try:
        control.set(name, wanted)
        if "held_until" in wanted.model_fields_set:
            control.release(name)
    except UnknownBucketError:
        _not_found(name)
    except BudgetChangeError as error:
        return problem(422, str(error), type=ProblemType.INVALID_BODY)
    return show(name)


def _not_found(name: str) -> NoReturn:
    abort(problem(404, f"there is no bucket {name!r}", type=ProblemType.NO_SUCH_BUCKET))
