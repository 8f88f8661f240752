"""What the admin does with jobs: looks for them, lets them wait again, runs them again."""

from dataclasses import dataclass
from typing import Any, get_args

from flask import Blueprint, abort, current_app, jsonify, redirect, request, url_for
from flask.typing import ResponseReturnValue

from spigot.jobs.bucket.configuring import UnknownBucketError
from spigot.jobs.job.queue import BucketRefusal
from spigot.jobs.job.requeueing import JobRequeuer, NotFailed, PlainQueueError
from spigot.jobs.job.rerunning import read_order
from spigot.jobs.job.search import Found, JobSearch, Wanted
from spigot.jobs.job.state import JobState, Status
from spigot.webapp.http.accepted import wants_page, with_vary
from spigot.webapp.http.admin import require_admin
from spigot.webapp.http.admin_change import require_admin_change
from spigot.webapp.http.description import RETRY_AFTER, Answer, Value, described, problem_answer
from spigot.webapp.http.forms import is_form
from spigot.webapp.http.full_bucket import bucket_full_problem
from spigot.webapp.http.no_such_job import no_such_job_problem
from spigot.webapp.http.problem_types import ProblemType
from spigot.webapp.http.problems import problem

from .jobs import submit

ON_PAGE, MOST_ON_PAGE = 50, 200
MAY_NOT_WAIT: dict[int, Answer | str] = {
    404: "There is no such job.",
    503: problem_answer("Its bucket is full, or the server is away.", [RETRY_AFTER]),
}

blueprint = Blueprint("jobs_admin", __name__, url_prefix="/jobs")


@dataclass(frozen=True, slots=True)
class Jobs:
    """Some of the jobs that were asked for.

    Attributes:
        jobs: In the order in which they run or, once they have ended, the latest first.
        total: Jobs of these statuses and buckets, whether type and text fit or not.
        looked_at: How far the search came, from the first job on.
        next: What ``after`` is to be in the next request; None if there are no more.
    """

    jobs: list[JobState]
    total: int
    looked_at: int
    next: str | None


def _number(name: str, default: int, least: int, most: int) -> int:
    text = request.args.get(name) or str(default)
    if not text.isascii() or not text.isdigit() or not least <= int(text[:12]) <= most:
        abort(400, f"{name} must be a whole number from {least} to {most}")
    return int(text)


def read_wanted() -> Wanted:
    """Return which jobs the present request asks for.

    Raises:
        HTTPException: There is no such status (400).
    """
    statuses = [part for part in request.args.get("status", "").split(",") if part]
    for status in statuses:
        if status not in get_args(Status):
            abort(400, f"there is no status {status!r}; known: {', '.join(get_args(Status))}")
    return Wanted(
        tuple(statuses),
        request.args.get("bucket") or None,
        request.args.get("type") or None,
        request.args.get("q", "")[:200],
    )


def read_page() -> tuple[int, int]:
    """Return how many jobs the present request leaves out, and how many it wants.

    Raises:
        HTTPException: One of them is no number, or too large (400).
    """
    return _number("after", 0, 0, 10**9), _number("limit", ON_PAGE, 1, MOST_ON_PAGE)


def find_jobs(wanted: Wanted) -> Found:
    """Return what the present request finds.

    Raises:
        HTTPException: A number is none (400), or there is no such bucket (404).
        redis.RedisError: Answered with 503 if the server is away.
    """
    search: JobSearch = current_app.extensions["job_search"]
    after, limit = read_page()
    try:
        return search.find(wanted, after=after, limit=limit)
    except UnknownBucketError as error:
        abort(problem(404, str(error), type=ProblemType.NO_SUCH_BUCKET))


def _query(name: str, meaning: str, example: Any = None, kind: str = "string") -> Value:
    return Value(name, meaning, {"type": kind}, place="query", example=example)


@blueprint.get("")
@described(
    {200: Answer("Jobs.", Jobs), 400: "A status or a number is wrong.", 404: "No such bucket."},
    values=[
        _query("status", "Of these, separated by commas; all if it is left out.", "failed"),
        _query("bucket", "Of this bucket."),
        _query("type", "Of this job type."),
        _query("q", "With this text in the id, the error or a logged field."),
        _query("limit", f"Jobs at most, 1 to {MOST_ON_PAGE}; 50 if it is left out.", 20, "integer"),
        _query("after", "`next` of the answer before."),
    ],
    for_admin=True,
)
def index() -> ResponseReturnValue:
    """Look for jobs; one request looks at 2,000 at most, and tells where to go on."""
    require_admin()
    if wants_page(request):
        return with_vary(current_app.extensions["jobs_page"]())
    found = find_jobs(read_wanted())
    told = {
        "jobs": [job.to_json() for job in found.jobs],
        "total": found.total,
        "looked_at": found.looked_at,
        "next": None if found.next is None else str(found.next),
    }
    return with_vary(jsonify(told))


@blueprint.post("/<job_id>/requeue")
@described(
    {
        200: Answer("The job, which waits again.", JobState),
        409: "It has not failed, or belongs to no bucket.",
        **MAY_NOT_WAIT,
    },
    for_admin=True,
)
def requeue(job_id: str) -> ResponseReturnValue:
    """Let a failed job wait again, with all its retries."""
    require_admin_change()
    try:
        answer = JobRequeuer(current_app.extensions["redis"]).requeue(job_id)
    except PlainQueueError as error:
        return problem(409, str(error))
    match answer:
        case None:
            return no_such_job_problem(job_id)
        case NotFailed(job=job):
            return problem(409, f"only failed jobs can be requeued; this one is {job.status}")
        case BucketRefusal():
            return bucket_full_problem(answer)
        case JobState():
            return _seen(job_id, answer.to_json())


@blueprint.post("/<job_id>/rerun")
@described(
    {
        202: Answer("The new job.", JobState),
        409: "It is a job of plain RQ.",
        **MAY_NOT_WAIT,
    },
    for_admin=True,
)
def rerun(job_id: str) -> ResponseReturnValue:
    """Enqueue a new job of the same type, payload and priority."""
    require_admin_change()
    order = read_order(current_app.extensions["redis"], job_id)
    if order is None:
        return no_such_job_problem(job_id)
    if not order.type:
        return problem(409, "a job of plain RQ has no type to run again: use RQ's tools")
    answer = submit(order.type, order.payload, order.priority)
    if is_form() and answer.status_code == 202:
        return redirect(answer.location, 303)
    return answer


def _seen(job_id: str, told: dict[str, Any]) -> ResponseReturnValue:
    """Lead a form back to the page of the job."""
    if is_form():
        return redirect(url_for("job.show", job_id=job_id), 303)
    return told
