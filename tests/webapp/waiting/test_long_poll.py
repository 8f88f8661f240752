import json
import time
from dataclasses import replace
from math import inf

import pytest
from werkzeug.datastructures import Headers

from spigot.webapp.routes.one_job import cancelled_answer, job_answer
from spigot.webapp.waiting.long_poll import LongPoll
from tests.support.event_streams import JOB, after


def wait(seconds: float = 5) -> LongPoll:
    response = LongPoll(JOB, seconds, job_answer)
    assert response.begin(Headers({"X-A": "b"})) == b""
    return response


def parsed(text: bytes) -> tuple[int, dict[str, str], dict]:
    head, _, body = text.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert int(headers["Content-Length"]) == len(body)
    return int(status.split()[1]), headers, json.loads(body)


def test_answers_when_the_job_has_ended():
    response = wait()
    assert response.on_job(after(2)) == b""

    status, headers, job = parsed(response.on_job(after(3, "finished")))
    assert (status, job["status"]) == (200, "finished")
    assert headers["X-A"] == "b"
    assert headers["Content-Type"] == "application/json"
    assert headers["Connection"] == "close"
    assert response.ended


def test_has_the_job_read_and_answers_when_the_time_is_over():
    response = wait(5)
    assert 4 < response.due - time.monotonic() <= 5

    assert response.on_time() == b""
    assert (response.wants_job, response.due) == (True, inf)
    status, _, job = parsed(response.on_job(replace(JOB, position=7)))
    assert (status, job["status"], job["position"]) == (200, "queued", 7)


def test_a_server_that_is_away_may_be_back_before_the_time_is_over():
    response = wait()
    assert response.on_server_away() == b""
    assert not response.ended

    response.on_time()
    status, headers, problem = parsed(response.on_server_away())
    assert (status, problem["status"]) == (503, 503)
    assert headers["Content-Type"] == "application/problem+json"
    assert int(headers["Retry-After"]) > 0


def test_a_job_that_is_gone_is_404():
    assert parsed(wait().on_job(None))[0] == 404


def test_answers_with_what_is_known_before_the_process_ends():
    response = wait()
    response.on_job(after(2))

    status, _, job = parsed(response.on_stop())
    assert (status, job["status"]) == (200, "started")
    assert response.ended


@pytest.mark.parametrize(
    ("status", "expected"),
    [("cancelled", 200), ("finished", 409), ("failed", 409), ("started", 202)],
)
def test_of_a_cancelled_job_says_what_came_of_it(status, expected):
    response = LongPoll(JOB, 2, cancelled_answer)
    response.begin(Headers())
    response.on_time()

    assert parsed(response.on_job(after(2, status)))[0] == expected
