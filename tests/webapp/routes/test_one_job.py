"""``/jobs/ID`` on a real server. The test client keeps its connection, so answers are relayed."""

import json
import time
from collections.abc import Iterator

import pytest

from spigot import create_app
from spigot.jobs.store import keys
from spigot.webapp.routes import one_job as one_job_routes
from spigot.webapp.waiting.event_stream import event_id
from spigot.worker.leases.attempt_report import AttemptReport
from tests.support.event_streams import parsed
from tests.support.problem_check import is_problem
from tests.support.processes import wait_for


@pytest.fixture
def app(redis, settings):
    app = create_app(settings())
    yield app
    app.extensions["connection_loop"].close()


def statuses(response) -> list[str]:
    return [event["data"]["status"] for event in parsed(response.data)]


def statuses_as_they_come(response) -> Iterator[str]:
    for chunk in response.iter_encoded():
        yield from (event["data"]["status"] for event in parsed(chunk))


class TestWaiting:
    def test_answers_when_the_job_has_ended(self, client, bucket, soon):
        bucket.enqueue("a")
        soon(bucket.finish, bucket.claim(), '"done"')

        began = time.monotonic()
        response = client.get("/jobs/a?wait=30")

        assert (response.status_code, response.json["status"]) == (200, "finished")
        assert response.json["result"] == "done"
        assert response.mimetype == "application/json"
        assert time.monotonic() - began < 20

    def test_answers_with_the_job_as_it_is_when_the_time_is_over(self, client, bucket):
        bucket.enqueue("a")

        began = time.monotonic()
        response = client.get("/jobs/a?wait=0.3")

        assert (response.status_code, response.json["status"]) == (200, "queued")
        assert time.monotonic() - began >= 0.3

    @pytest.mark.parametrize("query", ["", "?wait=0", "?wait=0.0"])
    def test_no_wait_answers_at_once(self, client, bucket, app, query):
        bucket.enqueue("a")

        assert client.get(f"/jobs/a{query}").json["status"] == "queued"
        assert app.extensions["connection_loop"].count == 0

    def test_a_job_that_has_ended_is_answered_at_once(self, client, bucket):
        bucket.enqueue("a")
        bucket.finish(bucket.claim())

        assert client.get("/jobs/a?wait=60").json["status"] == "finished"

    @pytest.mark.parametrize("wait", ["", "soon", "-1", "60.1", "nan", "inf", "1e9", "1,5", "1s"])
    def test_refuses_what_is_no_time(self, client, bucket, wait):
        bucket.enqueue("a")

        response = client.get("/jobs/a", query_string={"wait": wait})

        assert is_problem(response, 400)
        assert response.json["detail"] == "wait must be a number of seconds from 0 to 60"

    def test_a_head_request_does_not_wait(self, client, bucket, app):
        bucket.enqueue("a")

        response = client.head("/jobs/a?wait=60")

        assert (response.status_code, response.data) == (200, b"")
        assert app.extensions["connection_loop"].count == 0

    def test_no_such_job_is_404_at_once(self, client):
        assert is_problem(client.get("/jobs/nobody?wait=60"), 404)


class TestEvents:
    def test_tell_each_change_until_the_end(self, client, bucket):
        bucket.enqueue("a", "retried")

        with client.get("/jobs/a/events") as response:
            assert response.status_code == 200
            assert response.content_type == "text/event-stream; charset=utf-8"
            assert response.headers["Cache-Control"] == "no-store"
            told = statuses_as_they_come(response)
            assert next(told) == "queued"
            claim = bucket.claim()
            assert next(told) == "started"
            bucket.retry(claim, delay=0)
            assert next(told) == "queued"
            claim = bucket.claim()
            assert next(told) == "started"
            bucket.finish(claim)
            assert list(told) == ["finished"]

    def test_a_late_listener_gets_the_present_state(self, client, bucket, soon):
        bucket.enqueue("a")
        claim = bucket.claim()
        soon(bucket.finish, claim)

        assert statuses(client.get("/jobs/a/events")) == ["started", "finished"]

    def test_of_an_ended_job_are_its_end(self, client, bucket):
        bucket.enqueue("a")
        bucket.fail(bucket.claim(), error="KeyError: 'x'")

        (event,) = parsed(client.get("/jobs/a/events").data)

        assert event["event"] == "status"
        assert (event["data"]["status"], event["data"]["error"]) == ("failed", "KeyError: 'x'")

    def test_resume_where_the_client_was(self, client, bucket, soon):
        bucket.enqueue("a")
        last = event_id(bucket.read("a"))
        claim = bucket.claim()
        soon(bucket.finish, claim)

        response = client.get("/jobs/a/events", headers={"Last-Event-ID": str(last)})
        assert statuses(response) == ["started", "finished"]

    def test_do_not_repeat_what_the_client_got(self, client, bucket, soon):
        bucket.enqueue("a")
        claim = bucket.claim()
        last = event_id(bucket.read("a"))
        soon(bucket.finish, claim)

        response = client.get("/jobs/a/events", headers={"Last-Event-ID": str(last)})
        assert statuses(response) == ["finished"]

    def test_a_client_that_got_the_end_need_not_come_back(self, client, bucket):
        bucket.enqueue("a")
        bucket.finish(bucket.claim())
        (event,) = parsed(client.get("/jobs/a/events").data)

        response = client.get("/jobs/a/events", headers={"Last-Event-ID": event["id"]})

        assert (response.status_code, response.data) == (204, b"")

    @pytest.mark.parametrize("last", ["", "x", "-1", "9" * 30, "٣", "999"])
    def test_an_id_that_is_not_ours_counts_as_none(self, client, bucket, last):
        bucket.enqueue("a")
        bucket.finish(bucket.claim())

        response = client.get(
            "/jobs/a/events", headers={"Last-Event-ID": last.encode().decode("latin-1")}
        )
        assert statuses(response) == ["finished"]

    def test_of_no_job_are_404(self, client):
        assert is_problem(client.get("/jobs/nobody/events"), 404)

    def test_a_head_request_is_answered_at_once(self, client, bucket, app):
        bucket.enqueue("a")

        response = client.head("/jobs/a/events")

        assert (response.status_code, response.data) == (200, b"")
        assert response.mimetype == "text/event-stream"
        assert app.extensions["connection_loop"].count == 0

    def test_carry_the_headers_that_the_application_adds(self, app, bucket, soon):
        @app.after_request
        def add_header(response):
            response.headers["X-Added"] = "yes"
            return response

        bucket.enqueue("a")
        soon(bucket.finish, bucket.claim())

        for path in ("/jobs/a/events", "/jobs/a?wait=30"):
            with app.test_client().get(path) as response:
                assert response.headers["X-Added"] == "yes"


class TestTooManyListeners:
    @pytest.mark.parametrize("path", ["/jobs/a/events", "/jobs/a?wait=30"])
    def test_get_503_with_the_time_to_come_back(self, client, bucket, app, path):
        app.extensions["connection_loop"]._most = 0
        bucket.enqueue("a")

        response = client.get(path)

        assert is_problem(response, 503)
        assert int(response.headers["Retry-After"]) > 0

    def test_may_still_ask_without_waiting(self, client, bucket, app):
        app.extensions["connection_loop"]._most = 0
        bucket.enqueue("a")

        assert client.get("/jobs/a").status_code == 200


class TestCancelling:
    def test_a_waiting_job_is_200(self, client, bucket, redis):
        bucket.enqueue("a")

        response = client.delete("/jobs/a")

        assert (response.status_code, response.json["status"]) == (200, "cancelled")
        assert redis.llen(keys.queue("default")) == 0

    def test_a_delayed_job_is_200(self, client, bucket):
        bucket.enqueue("a", "retried")
        bucket.retry(bucket.claim(), delay=60)

        assert client.delete("/jobs/a").json["status"] == "cancelled"

    def test_a_running_job_that_stops_is_200(self, client, bucket, soon):
        bucket.enqueue("a")
        claim = bucket.claim()
        soon(bucket.leases.complete, AttemptReport(claim.token, "work", "Cancelled"), "cancelled")

        response = client.delete("/jobs/a")

        assert (response.status_code, response.json["status"]) == (200, "cancelled")

    def test_a_running_job_that_is_still_stopping_is_202(self, client, bucket, monkeypatch):
        monkeypatch.setattr(one_job_routes, "STOP_SECONDS", 0.3)
        bucket.enqueue("a")
        bucket.claim()

        response = client.delete("/jobs/a")

        assert (response.status_code, response.json["status"]) == (202, "started")

    def test_a_running_job_that_finishes_first_is_409(self, client, bucket, soon):
        bucket.enqueue("a")
        soon(bucket.finish, bucket.claim())

        assert is_problem(client.delete("/jobs/a"), 409)

    @pytest.mark.parametrize("end", ["finish", "fail"])
    def test_a_job_that_has_ended_is_409(self, client, bucket, end):
        bucket.enqueue("a")
        getattr(bucket, end)(bucket.claim())

        response = client.delete("/jobs/a")

        assert is_problem(response, 409)
        assert response.json["job_status"] in ("finished", "failed")

    def test_twice_is_200_and_409(self, client, bucket):
        bucket.enqueue("a")

        assert [client.delete("/jobs/a").status_code for _ in range(2)] == [200, 409]

    def test_no_such_job_is_404(self, client):
        assert is_problem(client.delete("/jobs/nobody"), 404)
        assert is_problem(client.delete("/jobs/a%00b"), 404)

    def test_waits_two_seconds_for_a_running_job(self):
        assert one_job_routes.STOP_SECONDS == 2


class TestAServerThatIsAway:
    @pytest.fixture
    def redis_url(self, server):
        return server.url

    @pytest.fixture
    def redis(self, server):
        """Nothing to clean up."""

    @pytest.mark.parametrize("ask", [("GET", "?wait=1"), ("GET", "/events"), ("DELETE", "")])
    def test_is_503_within_a_second(self, server, client, ask):
        server.kill()
        method, rest = ask

        began = time.monotonic()
        assert is_problem(client.open(f"/jobs/a{rest}", method=method), 503)
        assert time.monotonic() - began < 1

    def test_when_the_time_is_over_is_503(self, server, client, app, soon):
        job_id = (
            app.test_client().post("/jobs", json={"type": "add", "payload": {"x": 1}}).json["id"]
        )
        soon(server.kill, seconds=0.1)

        assert is_problem(client.get(f"/jobs/{job_id}?wait=0.5"), 503)

    def test_may_do_the_cancelling_when_it_goes_on(self, server, client, settings):
        job_id = client.post("/jobs", json={"type": "add", "payload": {"x": 1}}).json["id"]
        impatient = create_app(settings(redis_url=server.url)).test_client()
        server.hang()
        assert is_problem(impatient.delete(f"/jobs/{job_id}"), 503)
        server.go_on()

        wait_for(lambda: client.get(f"/jobs/{job_id}").status_code == 200)
        assert client.delete(f"/jobs/{job_id}").status_code in (200, 409)
        assert client.get(f"/jobs/{job_id}").json["status"] == "cancelled"


def test_answers_are_compact_json_in_the_order_of_the_interface(client, bucket):
    bucket.enqueue("a")

    text = client.get("/jobs/a").text
    assert list(json.loads(text))[:4] == ["id", "type", "status", "bucket"]
