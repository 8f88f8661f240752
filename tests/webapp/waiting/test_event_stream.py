import time
from dataclasses import replace

import pytest
from werkzeug.datastructures import Headers

from spigot.webapp.waiting.event_stream import HEARTBEAT_SECONDS, EventStream, event_id
from tests.support.event_streams import JOB, after, parsed


def test_begins_with_head_and_present_state():
    opening = EventStream(JOB).begin(Headers({"Content-Type": "text/event-stream", "X-A": "b"}))

    head, _, body = opening.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    assert lines[0] == "HTTP/1.1 200 OK"
    assert "Connection: close" in lines
    assert "X-A: b" in lines
    assert not any(line.startswith("Content-Length") for line in lines)
    (event,) = parsed(body)
    assert (event["event"], event["data"]) == ("status", JOB.to_json())
    assert "revision" not in event["data"]


def test_tells_each_change_once_under_a_growing_id():
    stream = EventStream(JOB)
    text = stream.begin(Headers())
    for job in (JOB, after(2), after(2), after(3), after(4, "finished")):
        text += stream.on_job(job)

    ids = [int(event["id"]) for event in parsed(text.partition(b"\r\n\r\n")[2])]
    assert len(ids) == 4
    assert ids == sorted(set(ids))


@pytest.mark.parametrize("status", ["finished", "failed", "cancelled"])
def test_ends_with_the_job(status):
    stream = EventStream(JOB)
    stream.on_job(after(2))
    assert not stream.ended

    (event,) = parsed(stream.on_job(after(3, status)))
    assert event["data"]["status"] == status
    assert stream.ended


def test_a_change_that_plain_rq_did_not_count_is_told():
    stream = EventStream(JOB)
    stream.begin(Headers())

    assert len(parsed(stream.on_job(after(1, "cancelled")))) == 1
    assert event_id(after(1, "cancelled")) < event_id(after(2))


def test_ends_when_the_job_is_gone():
    stream = EventStream(JOB)

    assert stream.on_job(None) == b""
    assert stream.ended


def test_resumes_after_the_last_event_that_the_client_got():
    stream = EventStream(after(5), last_id=event_id(after(5)))

    assert parsed(stream.begin(Headers()).partition(b"\r\n\r\n")[2]) == []
    assert len(parsed(stream.on_job(after(6)))) == 1


@pytest.mark.parametrize("last_id", [event_id(after(3)), event_id(after(99)), 0, None])
def test_a_client_that_missed_something_gets_the_present_state(last_id):
    opening = EventStream(after(5), last_id).begin(Headers())

    assert len(parsed(opening.partition(b"\r\n\r\n")[2])) == 1


def test_a_silent_stream_says_something_now_and_then():
    stream = EventStream(JOB)
    assert stream.due - time.monotonic() <= HEARTBEAT_SECONDS

    assert stream.on_time() == b":\n\n"
    assert 0 < stream.due - time.monotonic() <= HEARTBEAT_SECONDS


def test_is_silent_while_the_server_is_away_and_ends_with_the_process():
    stream = EventStream(JOB)

    assert stream.on_server_away() == b""
    assert not stream.ended
    assert stream.on_stop() == b""
    assert stream.ended


def test_a_result_with_line_breaks_stays_one_event():
    job = replace(after(2, "finished"), result="a\n\nevent: x\r\ndata: y\u2028")

    (event,) = parsed(EventStream(JOB).on_job(job))
    assert event["data"]["result"] == job.result
