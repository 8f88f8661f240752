"""Slow AI work behind a rate limit, and the three ways to be told that it is done."""

import json
from collections import Counter
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.support.processes import wait_for
from tests.support.visitors import at_once

DOCUMENT = {"doc_id": "doc_1"}
SUMMARY = {"doc_id": "doc_1", "file": "report-1.pdf", "summary": "what stands in report-1.pdf"}


def test_answers_at_once_with_where_to_ask(visitor):
    answer = visitor.post("/process-doc/", DOCUMENT)

    task = answer.json["task_id"]
    assert answer.status == 202
    assert answer.json == {
        "task_id": task,
        "status": "PENDING",
        "status_url": f"/task-status/{task}",
        "events_url": f"/jobs/{task}/events",
    }
    assert visitor.get(f"/task-status/{task}").json["status"] in ("PENDING", "STARTED")


def test_lets_a_client_in_five_times_a_minute(visitor, new_visitor):
    answers = [visitor.post("/process-doc/", DOCUMENT) for _ in range(6)]

    assert [answer.status for answer in answers] == [202] * 5 + [429]
    refused = answers[-1]
    assert 50 <= int(refused.headers["Retry-After"]) <= 60
    assert refused.headers["X-RateLimit-Limit"] == "5"
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert refused.json["violated-policies"] == ["process-doc"]
    assert new_visitor().post("/process-doc/", DOCUMENT).status == 202


def test_lets_exactly_five_of_many_requests_in_that_come_together(visitor):
    answers = at_once(30, lambda _: visitor.post("/process-doc/", DOCUMENT))

    assert Counter(answer.status for answer in answers) == {202: 5, 429: 25}


def test_asking_does_not_use_up_the_five(visitor):
    task = visitor.post("/process-doc/", DOCUMENT).json["task_id"]

    for _ in range(10):
        assert visitor.get(f"/task-status/{task}").status == 200
    assert visitor.post("/process-doc/", DOCUMENT).headers["X-RateLimit-Remaining"] == "3"


@pytest.mark.parametrize("body", [{}, {"doc_id": 1}, {"doc_id": "doc_1", "page": 2}, [], "doc_1"])
def test_refuses_what_names_no_document(visitor, body):
    answer = visitor.post("/process-doc/", body)

    assert answer.status == 422
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_client_that_waits_is_told_when_it_is_done(visitor):
    task = visitor.post("/process-doc/", DOCUMENT).json["task_id"]

    answer = visitor.get(f"/task-status/{task}?wait=60")

    assert answer.json == {"task_id": task, "status": "SUCCESS", "result": SUMMARY}


def test_a_client_that_polls_sees_the_states_in_order(visitor):
    task = visitor.post("/process-doc/", DOCUMENT).json["task_id"]
    seen = []

    def has_ended():
        seen.append(visitor.get(f"/task-status/{task}").json["status"])
        return seen[-1] == "SUCCESS"

    wait_for(has_ended, 60)
    order = ["PENDING", "STARTED", "SUCCESS"]
    assert seen == sorted(seen, key=order.index)
    assert "STARTED" in seen


def test_a_client_that_listens_is_told_of_each_step(visitor, stack):
    answer = visitor.post("/process-doc/", DOCUMENT)

    states = list(events(stack.url, answer.json["events_url"]))

    assert states[-1]["status"] == "finished"
    assert states[-1]["result"] == SUMMARY
    assert "started" in [state["status"] for state in states]
    assert any(state["progress"] for state in states)


def test_fails_for_a_document_that_does_not_exist(visitor):
    task = visitor.post("/process-doc/", {"doc_id": "doc_0"}).json["task_id"]

    assert visitor.get(f"/task-status/{task}?wait=60").json == {
        "task_id": task,
        "status": "FAILURE",
        "result": "FileNotFoundError: there is no document 'doc_0'",
    }


def test_an_unknown_task_is_not_found(visitor):
    assert visitor.get(f"/task-status/{'0' * 32}").status == 404


def events(url, path):
    """Yield what a stream of server-sent events tells, until it ends."""
    connection = HTTPConnection(urlsplit(url).netloc, timeout=60)
    connection.request("GET", path, headers={"Accept": "text/event-stream"})
    response = connection.getresponse()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    for line in response:
        if line.startswith(b"data:"):
            yield json.loads(line.removeprefix(b"data:"))
    connection.close()
