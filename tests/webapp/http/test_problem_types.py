"""Each kind of problem has a URI of its own, which the docs explain."""

import re
from pathlib import Path

import pytest

from spigot.jobs.job.queue import BucketRefusal
from spigot.webapp.http.full_bucket import bucket_full_problem
from spigot.webapp.http.problem_types import PREFIX, ProblemType, uri_of_status
from spigot.webapp.http.problems import away_problem
from spigot.webapp.waiting.parked_response import too_many_listeners
from tests.support.problem_check import is_problem

DOCS = (Path(__file__).parents[3] / "docs" / "problems.md").read_text()
NONE_OF_OURS = {
    "quota-exceeded",
    "abnormal-usage-detected",
    "temporary-reduced-capacity",
}
JSON = {"content_type": "application/json"}


def test_no_two_kinds_have_one_uri():
    uris = [kind.uri for kind in ProblemType]
    uris += [uri_of_status(status) for status in (400, 401, 403, 404, 405, 408, 413, 415, 500, 503)]

    assert len(set(uris)) == len(uris)
    assert all(re.fullmatch(r"urn:spigot:problem:[a-z]+(-[a-z]+)*", uri) for uri in uris)


@pytest.mark.parametrize("kind", ProblemType)
def test_the_docs_explain_each_kind(kind):
    assert f"| `{kind.uri.removeprefix(PREFIX)}` |" in DOCS


def test_the_docs_explain_no_others():
    told = set(re.findall(r"^\| `([a-z-]+)` \|", DOCS, re.MULTILINE))
    statuses = {uri_of_status(status).removeprefix(PREFIX) for status in range(400, 600)
                if status in (400, 401, 403, 404, 405, 408, 409, 413, 415, 500)}  # fmt: skip

    assert told == {kind.uri.removeprefix(PREFIX) for kind in ProblemType} | statuses | NONE_OF_OURS


def test_503_is_told_apart():
    full, draining = (
        bucket_full_problem(BucketRefusal("default", draining, 1000)) for draining in (False, True)
    )
    kinds = [answer.json["type"] for answer in (full, draining, away_problem())]

    assert [*kinds, too_many_listeners().json["type"]] == [
        "urn:spigot:problem:bucket-full",
        "urn:spigot:problem:bucket-draining",
        "urn:spigot:problem:server-away",
        "urn:spigot:problem:too-many-listeners",
    ]
    assert full.headers["Retry-After"]


@pytest.mark.parametrize(
    ("method", "path", "options", "status", "kind"),
    [
        ("GET", "/nosuch", {}, 404, "not-found"),
        ("GET", "/jobs/nobody", {}, 404, "no-such-job"),
        ("GET", "/jobs/nobody/events", {}, 404, "no-such-job"),
        ("DELETE", "/jobs/nobody", {}, 404, "no-such-job"),
        ("GET", "/buckets/nosuch", {}, 404, "no-such-bucket"),
        ("PUT", "/jobs", {}, 405, "method-not-allowed"),
        ("POST", "/jobs", {"data": "{", **JSON}, 400, "not-json"),
        ("POST", "/jobs", {"data": "{}"}, 415, "unsupported-media-type"),
        ("POST", "/jobs", {"data": "{}", **JSON}, 422, "invalid-body"),
        ("POST", "/jobs", {"json": {"type": "nosuch"}}, 422, "unknown-job-type"),
    ],
)
def test_a_program_can_tell_what_went_wrong(client, method, path, options, status, kind):
    answer = client.open(path, method=method, **options)

    assert is_problem(answer, status)
    assert answer.json["type"] == PREFIX + kind
