"""A token bucket in front of the work: tasks begin while there are tokens, then as they come."""

import pytest

from tests.support.processes import wait_for
from tests.support.spigot_up import spigot_up
from tests.support.visitors import Visitor, at_once

TOKEN_SECONDS = 5


@pytest.mark.parametrize("x", [5, 0, -7, 10**40])
def test_takes_any_integer_and_says_what_it_processed(visitor, x):
    answer = visitor.post(f"/tasks/process/{x}")

    assert answer.status == 202
    assert answer.json == {"task_id": answer.json["task_id"], "status": "queued"}
    assert ended(visitor, answer.json["task_id"]) == {
        "task_id": answer.json["task_id"],
        "status": "SUCCESS",
        "result": f"Processed {x}",
    }


@pytest.mark.parametrize("x", ["x", "1.5", "", "--1", "1e3"])
def test_takes_nothing_but_integers(visitor, x):
    assert visitor.post(f"/tasks/process/{x}").status == 404


def test_an_unknown_task_is_not_found(visitor):
    answer = visitor.get(f"/tasks/status/{'0' * 32}")

    assert answer.status == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_task_that_failed_tells_the_error_line(visitor):
    body = {"type": "fail", "payload": {"why": "the oven is cold"}}
    task = visitor.post("/jobs", body).json["id"]

    assert ended(visitor, task) == {
        "task_id": task,
        "status": "FAILURE",
        "result": "RuntimeError: the oven is cold",
    }


def test_a_task_that_will_be_tried_again_says_so(visitor):
    task = visitor.post("/jobs", {"type": "fail_for_now"}).json["id"]

    wait_for(lambda: visitor.get(f"/tasks/status/{task}").json["status"] == "RETRY")
    assert visitor.get(f"/tasks/status/{task}").json["result"] == "RuntimeError: not yet"


@pytest.mark.slow
@pytest.mark.alone
def test_tasks_begin_while_there_are_tokens_and_then_as_they_come(tmp_path):
    """Twelve at once, from as many threads: ten begin, two wait, none fails."""
    with spigot_up(tmp_path, EXAMPLES_REQUEST_SECONDS="3") as stack:
        visitor = Visitor(stack.url)
        answers = at_once(12, lambda x: visitor.post(f"/tasks/process/{x}"))
        tasks = [answer.json["task_id"] for answer in answers]

        wait_for(lambda: words(stack, tasks).count("STARTED") == 10, 3)
        assert words(stack, tasks).count("PENDING") == 2

        assert {ended(visitor, task)["status"] for task in tasks} == {"SUCCESS"}
        slots = sorted(line["slot_at"] for line in stack.result_log())

    assert len(slots) == 12
    assert slots[9] - slots[0] < 1
    for token, slot in enumerate(slots[10:], start=1):
        assert slot - slots[0] == pytest.approx(token * TOKEN_SECONDS, abs=0.1)
    assert_no_token_is_spent_twice(slots)


def assert_no_token_is_spent_twice(slots):
    for first, begin in enumerate(slots):
        for last, end in enumerate(slots[first:], start=first):
            assert last - first + 1 <= 10 + (end - begin) / TOKEN_SECONDS + 1e-6


def words(stack, tasks):
    visitor = Visitor(stack.url)  # a new one each time: asking so often would be too much of one
    return [visitor.get(f"/tasks/status/{task}").json["status"] for task in tasks]


def ended(visitor, task):
    answer = visitor.get(f"/tasks/status/{task}?wait=60")
    assert answer.status == 200
    return answer.json
