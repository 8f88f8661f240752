import time
from collections import Counter

import pytest

from spigot import create_app
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
    def test_a_stranger_sees_buckets_alone(self, client):
        page = client.get("/")

        assert (page.status_code, page.mimetype) == (200, "text/html")
        assert 'id="buckets"' in page.text
        assert not any(f'id="{table}"' in page.text for table in ("running", "ended", "refused"))

    def test_the_admin_sees_jobs_and_who_is_refused(self, client):
        page = client.get("/", auth=ADMIN)

        for table in ("buckets", "running", "ended", "refused"):
            assert f'id="{table}"' in page.text

    def test_without_a_password_nobody_can_log_in(self, redis, redis_url, settings):
        client = create_app(settings(redis_url=redis_url)).test_client()

        assert "/admin" not in client.get("/").text
        assert is_problem(client.get("/admin", auth=ADMIN), 404)
        assert is_problem(client.get("/api/activity", auth=ADMIN), 404)

    def test_logging_in_leads_back_to_it(self, client):
        assert 'href="/admin"' in client.get("/").text
        assert is_problem(client.get("/admin"), 401)

        answer = client.get("/admin", auth=ADMIN)

        assert (answer.status_code, answer.location) == (303, "/")

    @pytest.mark.parametrize("auth", [None, ADMIN])
    def test_it_runs_only_what_this_server_sends_as_a_file(self, client, auth):
        page = client.get("/", auth=auth)

        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert page.text.count("<script") == page.text.count('<script src="/static/') == 1
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["Cache-Control"] == "no-store"
        with client.get("/static/live.js") as script:
            assert script.status_code == 200

    def test_it_does_not_need_the_server(self, settings, tmp_path):
        url = f"unix://{tmp_path}/nobody.sock"

        assert create_app(settings(redis_url=url)).test_client().get("/").status_code == 200


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

    def test_is_shown_without_the_server_of_the_door(self, redis, redis_url, settings, tmp_path):
        away = f"unix://{tmp_path}/nobody.sock"
        app = create_app(
            settings(redis_url=redis_url, limits_redis_url=away, admin_password="secret")
        )

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
