import html
import json
import re
import shlex
import time
from collections import Counter

import pytest

from spigot import create_app
from spigot.jobs.bucket.config import BucketConfig
from spigot.jobs.bucket.publishing import BucketPublisher
from spigot.jobs.store import keys
from spigot.webapp.door.rate_limits.refusal_counts import write_refusals
from spigot.webapp.pages.activity import SHOWN
from tests.support.problem_check import is_problem
from tests.support.round_trips import counted_round_trips

ADMIN = ("admin", "secret")


@pytest.fixture
def app(redis, redis_url, shared_app):
    return shared_app(redis, redis_url=redis_url, admin_password="secret")


def add(client, **payload):
    return client.post("/jobs", json={"type": "add", "payload": payload or {"x": 1}}).json["id"]


def activity(client):
    answer = client.get("/api/activity", auth=ADMIN)
    assert answer.status_code == 200, answer.text
    return answer.json


class TestPage:
    def test_a_stranger_sees_buckets_and_how_to_send_a_job(self, client):
        job_id = add(client)

        page = client.get("/")

        assert (page.status_code, page.mimetype) == (200, "text/html")
        assert 'data-card="default"' in page.text
        assert "curl -i http://localhost/jobs" in page.text
        assert job_id[:8] not in page.text
        assert not any(f'data-rows="{rows}"' in page.text for rows in ("running", "refused"))

    def test_the_command_that_a_stranger_is_shown_sends_a_job(self, client):
        page = html.unescape(client.get("/").text)
        command = re.search(r"curl -i .*?\n\n", page, re.DOTALL)[0]

        *_, body = shlex.split(command)
        assert client.post("/jobs", json=json.loads(body)).status_code == 202

    def test_the_admin_sees_jobs_who_is_refused_and_who_changed_what(self, client, redis):
        job_id = add(client)
        redis.hset(keys.job(job_id), mapping={"status": "started"})
        redis.zadd(keys.running("default"), {f"{job_id}:token": 1})
        write_refusals(redis, Counter({("192.0.2.1", "default"): 3}))
        nobody = "Nobody has changed a bucket."
        assert nobody in client.get("/", auth=ADMIN).text
        client.patch("/buckets/narrow", json={"paused": True}, auth=ADMIN)

        page = client.get("/", auth=ADMIN).text
        assert nobody not in page

        for text in (job_id[:8], "192.0.2.1", "paused it", "1 of 2 buckets needs you"):
            assert text in page

    def test_where_no_bucket_needs_anybody_the_heading_names_those_that_stand(self, client):
        heading = '<h1 data-text="page_heading">No bucket needs you</h1>'
        nothing = "Nothing is full, fails, or lacks a worker."
        page = client.get("/", auth=ADMIN).text
        assert heading in page
        assert f">{nothing}</p>" in page

        client.patch("/buckets/narrow", json={"paused": True}, auth=ADMIN)
        client.patch("/buckets/default", json={"draining": True}, auth=ADMIN)

        page = client.get("/", auth=ADMIN).text
        assert heading in page
        assert f">{nothing} default is draining. narrow is paused.</p>" in page

    def test_where_jobs_failed_the_heading_does_not_say_that_nothing_fails(self, client, redis):
        ended_s = redis.time()[0]
        redis.zadd(keys.failed("default"), {"a-job": ended_s + 86_400})

        page = client.get("/", auth=ADMIN).text

        assert ">No bucket needs you</h1>" in page
        line = "Nothing is full or lacks a worker; 1 job failed in the last 5 minutes."
        assert f">{line}</p>" in page

    def test_the_line_below_the_heading_names_three_buckets_and_counts_the_others(
        self, client, redis
    ):
        names = ["first", "fourth", "second", "third"]
        BucketPublisher(redis).publish(dict.fromkeys(names, BucketConfig()))
        for name in names:
            redis.rpush(f"rq:queue:{name}", "a-job")

        page = client.get("/", auth=ADMIN).text

        needing = " ".join(f"{name} is without a worker." for name in names[:3])
        assert ">4 of 6 buckets need you</h1>" in page
        assert f">{needing} 1 more is below.</p>" in page

    def test_the_admin_sees_how_many_jobs_a_full_bucket_refused(self, client, redis):
        answers = [
            client.post("/jobs", json={"type": "add", "payload": {"x": 1}}) for _ in range(5)
        ]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 503, 503]
        write_refusals(redis, Counter({("192.0.2.1", "default"): 3}))

        page = client.get("/", auth=ADMIN).text

        assert '<b data-text="page_refused">5</b>' in page
        assert "bucket default, full or draining" in page
        assert "full or draining" not in client.get("/").text

    def test_what_others_wrote_is_text(self, client, redis):
        attack = "<script>alert(1)</script>"
        redis.hset(keys.bucket("default"), mapping={
            "held_until_us": 2 * 10**15, "hold_reason": attack, "rate": attack})  # fmt: skip
        write_refusals(redis, Counter({(attack, attack): 3}))

        assert attack not in client.get("/", auth=ADMIN).text

    def test_without_a_password_nobody_can_log_in(self, redis, settings):
        client = create_app(settings()).test_client()

        assert "/admin" not in client.get("/").text
        assert is_problem(client.get("/admin", auth=ADMIN), 404)
        assert is_problem(client.get("/api/activity", auth=ADMIN), 404)

    def test_logging_in_leads_back_to_it(self, client):
        assert 'href="/admin"' in client.get("/").text
        assert is_problem(client.get("/admin"), 401)

        answer = client.get("/admin", auth=ADMIN)

        assert (answer.status_code, answer.location) == (303, "/")

    def test_a_job_is_found_by_its_id(self, client):
        assert client.get("/find?id=%20abc123%20").location == "/jobs/abc123"
        assert client.get("/find?id=//evil.example/").location == "/"

    @pytest.mark.parametrize("auth", [None, ADMIN])
    def test_it_runs_only_what_this_server_sends_as_a_file(self, client, auth):
        page = client.get("/", auth=auth)

        policy = page.headers["Content-Security-Policy"]
        assert "unsafe" not in policy
        assert all(part in policy for part in ("default-src 'none'", "form-action 'self'"))
        assert page.text.count("<script") == page.text.count('<script src="/static/') == 1
        assert " style=" not in page.text
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Cache-Control"] == "no-store"
        with client.get("/static/live.js") as script:
            assert script.status_code == 200

    def test_it_says_that_the_server_is_away(self, settings, tmp_path):
        url = f"unix://{tmp_path}/nobody.sock"

        page = create_app(settings(redis_url=url)).test_client().get("/")

        assert (page.status_code, page.mimetype) == (503, "text/html")
        assert "Nothing can be shown now" in page.text

    def test_the_buckets_cost_two_round_trips_whatever_their_number(self, app):
        source = app.extensions["overview"]
        source.read(is_admin=False)
        with counted_round_trips() as sent:
            source.read(is_admin=False)

        assert len(sent) == 2  # names, all buckets


class TestFeed:
    @pytest.fixture
    def feed(self, app):
        return app.extensions["page_feeds"].of(None, is_admin=False)

    def news(self, feed, number):
        feed._read_at = 0.0
        number, event = feed.after(number)
        return number, json.loads(event.partition(b"data: ")[2] or b"{}")

    def test_it_sends_the_whole_and_then_only_what_differs(self, client, feed):
        number, whole = self.news(feed, None)
        assert set(whole["cards"]) == {"default", "narrow"}

        add(client)
        _, news = self.news(feed, number)

        assert news["cards"]["default"]["waiting"] == "1"
        assert "narrow" not in news["cards"]
        assert "name" not in news["cards"]["default"]

    def test_all_who_watch_cost_one_reading(self, feed):
        feed.after(None)
        with counted_round_trips() as sent:
            for _ in range(50):
                feed.after(None)

        assert not sent

    def test_an_away_server_is_said(self, settings, tmp_path):
        url = f"unix://{tmp_path}/nobody.sock"
        feed = create_app(settings(redis_url=url)).extensions["page_feeds"].of(None, is_admin=False)

        assert feed.after(None)[1].startswith(b"event: away")

    def test_a_stranger_is_sent_no_id(self, client, feed, redis):
        job_id = add(client)
        redis.hset(keys.job(job_id), "status", "started")
        redis.zadd(keys.running("default"), {f"{job_id}:token": 1})

        _, whole = self.news(feed, None)

        assert job_id[:8] not in json.dumps(whole)
        assert whole["rows"] == {}


class TestActivity:
    @pytest.mark.parametrize("auth", [None, ("admin", "wrong")])
    def test_is_the_admins_alone(self, client, auth):
        assert is_problem(client.get("/api/activity", auth=auth), 401)

    def test_shows_what_ended_last_first(self, client, work_off, redis):
        finished = add(client)
        work_off()
        failed = add(client)
        redis.hset(keys.job(failed), "data", b"no job")
        work_off()
        cancelled = add(client)
        client.delete(f"/jobs/{cancelled}")

        ended = activity(client)["ended"]

        assert [(job["id"], job["status"]) for job in ended] == [
            (cancelled, "cancelled"),
            (failed, "failed"),
            (finished, "finished"),
        ]
        assert ended[0]["error"] == "Cancelled: before it ran"
        assert not {"result", "payload"} & set(ended[2])

    def test_shows_what_runs(self, client, redis):
        job_id = add(client)
        redis.hset(keys.job(job_id), "status", "started")
        redis.zadd(keys.running("default"), {f"{job_id}:token": 1})

        assert [job["id"] for job in activity(client)["running"]] == [job_id]

    def test_shows_who_is_refused(self, client, redis):
        write_refusals(redis, Counter({("192.0.2.1", "default"): 3, ("192.0.2.2", ""): 1}))

        assert activity(client)["refused"] == [
            {"client": "192.0.2.1", "rule": "default", "count": 3},
            {"client": "192.0.2.2", "rule": "", "count": 1},
        ]

    def test_is_shown_without_the_server_of_the_door(self, redis, settings, tmp_path):
        away = f"unix://{tmp_path}/nobody.sock"
        app = create_app(settings(limits_redis_url=away, admin_password="secret"))

        told = activity(app.test_client())

        assert (told["running"], told["refused"]) == ([], None)

    def test_costs_as_little_with_many_jobs(self, client, redis):
        now = time.time()
        for place in ("finished", "failed", "canceled"):
            jobs = {f"{place}-{number}": now + number for number in range(2000)}
            redis.zadd(f"rq:{place}:default", jobs)
        activity(client)

        with counted_round_trips() as sent:
            told = activity(client)

        assert len(sent) <= 24
        assert sum(map(len, sent)) < 100_000
        assert all(len(told[name]) <= SHOWN for name in ("running", "ended", "refused"))
