"""A queue of fixed size that is drained at a steady rate, into a log for audit."""

import json
from collections import Counter
from itertools import pairwise

import pytest

from tests.support.processes import wait_for
from tests.support.spigot_up import spigot_up
from tests.support.visitors import Visitor, at_once

MESSAGE = {
    "id": 1,
    "job_priority": 1,
    "job_type": 2,
    "job_publisher": "mobile_app",
    "data": "this is my message from mobile app",
}
INTERVAL = 0.1


def test_every_message_that_came_with_others_is_processed_once_at_the_rate(visitor, stack):
    publisher = f"the visitor {visitor.address}"
    answers = at_once(
        20, lambda id: visitor.post("/enqueue", {**MESSAGE, "id": id, "job_publisher": publisher})
    )
    assert [(answer.status, answer.json) for answer in answers if answer.status != 202] == []

    def lines():
        return [
            line for line in stack.result_log() if line["log"].get("job_publisher") == publisher
        ]

    wait_for(lambda: len(lines()) >= 20)
    assert {line["status"] for line in lines()} == {"finished"}
    assert sorted(line["log"]["id"] for line in lines()) == list(range(20))
    slots = sorted(line["slot_at"] for line in lines())
    assert min(after - before for before, after in pairwise(slots)) >= INTERVAL - 1e-6


def test_the_log_keeps_what_was_sent(visitor, stack):
    message = {**MESSAGE, "id": 7_000, "data": "ünï ✓"}

    job = visitor.post("/enqueue", message).json

    assert visitor.get(f"/jobs/{job['id']}?wait=30").json["result"] == (
        "processed message 7000 from mobile_app"
    )
    wait_for(lambda: job["id"] in [line["id"] for line in stack.result_log()])
    [line] = [line for line in stack.result_log() if line["id"] == job["id"]]
    assert line["log"] == message


@pytest.mark.slow
def test_a_full_queue_refuses_with_the_time_to_come_back(tmp_path):
    buckets = tmp_path / "buckets.json"
    buckets.write_text(json.dumps({"default": {"rate": "1/m", "capacity": 5}}))
    settings = {"SPIGOT_APPS": "spigot.examples.messages", "SPIGOT_BUCKETS": str(buckets)}
    with spigot_up(tmp_path, **settings) as stack:
        visitor = Visitor(stack.url)
        visitor.post("/enqueue", MESSAGE)
        wait_for(lambda: visitor.get("/buckets/default").json["waiting"] == 0)

        answers = at_once(20, lambda id: visitor.post("/enqueue", {**MESSAGE, "id": id}))

        assert Counter(answer.status for answer in answers) == {202: 5, 503: 15}
        refused = next(answer for answer in answers if answer.status == 503)
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert visitor.get("/buckets/default").json["waiting"] == 5
