"""The admin looks for jobs, requeues, runs again, purges, bans: by program and by form."""

import json
import re

import pytest

from spigot import create_app
from spigot.jobs.store import keys
from tests.support.problem_check import is_problem

ADMIN = ("admin", "secret")
HTML = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture
def app(redis, shared_app):
    return shared_app(redis, admin_password="secret")


@pytest.fixture
def failed(client, redis, bucket):
    """A job of the bucket ``default`` that failed, and its group of failures."""
    bucket.enqueue("a" * 32)
    bucket.fail(bucket.claim(), error="KeyError: 'total'")
    [group] = client.get("/failures", auth=ADMIN).json["failures"]
    return "a" * 32, group["id"]


def add(client, **payload):
    return client.post("/jobs", json={"type": "add", "payload": payload or {"x": 1}}).json["id"]


def token_of(client, path):
    page = client.get(path, auth=ADMIN, headers=HTML).text
    return re.search('name="form_token" value="([0-9a-f]+)"', page)[1]


CHANGES = [
    ("PATCH", "/buckets/default", {"paused": True}),
    ("POST", "/buckets/default/purge", None),
    ("POST", f"/jobs/{'a' * 32}/requeue", None),
    ("POST", f"/jobs/{'a' * 32}/rerun", None),
    ("POST", "/failures/0123456789abcdef/requeue", None),
    ("POST", "/failures/0123456789abcdef/dismiss", None),
    ("PUT", "/clients/192.0.2.1/ban", None),
    ("DELETE", "/clients/192.0.2.1/ban", None),
    ("POST", "/rq/queue/default/empty/all", None),
]


@pytest.mark.parametrize(("method", "path", "body"), CHANGES)
class TestWhoMayChange:
    def test_no_stranger(self, client, method, path, body):
        assert is_problem(client.open(path, method=method, json=body), 401)

    @pytest.mark.parametrize(
        "headers",
        [
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
        ],
    )
    def test_no_page_of_another_site(self, client, method, path, body, headers):
        answer = client.open(path, method=method, json=body, auth=ADMIN, headers=headers)

        assert is_problem(answer, 403)

    def test_nobody_where_all_is_read_only(self, shared_app, redis, method, path, body):
        app = shared_app(redis, admin_password="secret", readonly=True)

        answer = app.test_client().open(path, method=method, json=body, auth=ADMIN)

        assert is_problem(answer, 403)
        assert answer.json["type"] == "urn:spigot:problem:read-only"


def test_read_only_takes_nothing_from_clients(shared_app, redis):
    app = shared_app(redis, admin_password="secret", readonly=True)
    client = app.test_client()

    job_id = add(client)

    assert client.delete(f"/jobs/{job_id}").status_code == 200
    page = client.get("/buckets/default", auth=ADMIN, headers=HTML).text
    assert "Read-only" in page
    assert "<form" not in page


class TestForms:
    def test_a_button_does_what_it_says_and_is_remembered(self, client):
        token = token_of(client, "/")

        answer = client.post(
            "/buckets/default/form", data={"form_token": token, "action": "pause"}, auth=ADMIN
        )

        assert (answer.status_code, answer.location) == (303, "/buckets/default?did=pause")
        assert client.get("/buckets/default").json["paused"] is True
        page = client.get("/buckets/default?did=pause", auth=ADMIN, headers=HTML).text
        assert "is paused." in page
        assert "paused it" in page

    @pytest.mark.parametrize("token", [None, "", "0" * 64])
    def test_a_form_without_the_sessions_token_changes_nothing(self, client, token):
        data = {"action": "pause"} | ({} if token is None else {"form_token": token})

        assert is_problem(client.post("/buckets/default/form", data=data, auth=ADMIN), 403)
        assert client.get("/buckets/default").json["paused"] is False

    @pytest.mark.parametrize(
        ("fields", "changed"),
        [
            ({"action": "rate", "value": "3/s"}, ("rate", "3/s")),
            ({"action": "capacity", "value": "7"}, ("capacity", 7)),
            ({"action": "max_running", "value": "2"}, ("max_running", 2)),
            ({"action": "max_running", "value": ""}, ("max_running", None)),
            ({"action": "drain"}, ("draining", True)),
            ({"action": "release"}, ("held_until", None)),
            ({"action": "reset"}, ("rate", "10/s")),
        ],
    )
    def test_all_that_the_command_line_can_do(self, client, fields, changed):
        data = fields | {"form_token": token_of(client, "/")}

        assert client.post("/buckets/default/form", data=data, auth=ADMIN).status_code == 303
        assert client.get("/buckets/default").json[changed[0]] == changed[1]

    @pytest.mark.parametrize(
        "fields",
        [{"action": "rate", "value": "fast"}, {"action": "capacity", "value": "0"}, {"action": ""},
         {"action": "purge", "sure": "yes"}],
    )  # fmt: skip
    def test_what_is_wrong_changes_nothing(self, client, fields):
        job_id = add(client)
        data = fields | {"form_token": token_of(client, "/")}

        assert is_problem(client.post("/buckets/default/form", data=data, auth=ADMIN), 422)
        assert client.get(f"/jobs/{job_id}").json["status"] == "queued"

    def test_purging_needs_the_name_and_says_who_did_it(self, client):
        job_id = add(client)
        data = {"action": "purge", "sure": "default", "form_token": token_of(client, "/")}

        answer = client.post("/buckets/default/form", data=data, auth=ADMIN)

        assert answer.location == "/buckets/default?did=purge-1"
        assert client.get(f"/jobs/{job_id}").json["status"] == "cancelled"
        page = client.get(answer.location, auth=ADMIN, headers=HTML).text
        assert "cancelled 1 that waited" in page
        assert "1 job of default was cancelled." in page


class TestJobs:
    def test_are_found_by_status_bucket_type_and_text(self, client, failed):
        waiting = add(client, x=5)
        job_id, _ = failed

        def ids(query):
            return [job["id"] for job in client.get(f"/jobs?{query}", auth=ADMIN).json["jobs"]]

        assert ids("") == [waiting, job_id]
        assert ids("status=failed") == ids("q=keyerror") == ids("type=work") == [job_id]
        assert ids("bucket=narrow") == []
        assert ids("q=nowhere") == []

    def test_a_search_looks_at_2000_jobs_a_request_and_goes_on(self, client, redis):
        job_id = add(client)
        redis.rpush(keys.queue("default"), *(f"x{number}" for number in range(2500)))
        redis.rpush(keys.queue("default"), job_id)

        first = client.get("/jobs?status=queued&type=none", auth=ADMIN).json
        then = client.get(f"/jobs?status=queued&type=add&after={first['next']}", auth=ADMIN).json

        assert (first["looked_at"], first["next"]) == (2000, "2000")
        assert [job["id"] for job in then["jobs"]] == [job_id]
        assert then["next"] is None

    @pytest.mark.parametrize(
        ("query", "status"),
        [("status=lost", 400), ("limit=0", 400), ("limit=x", 400), ("after=-1", 400),
         ("bucket=nope", 404)],
    )  # fmt: skip
    def test_wrong_questions_are_told(self, client, query, status):
        assert is_problem(client.get(f"/jobs?{query}", auth=ADMIN), status)

    def test_a_failed_job_is_requeued(self, client, failed):
        answer = client.post(f"/jobs/{failed[0]}/requeue", auth=ADMIN)

        assert (answer.status_code, answer.json["status"]) == (200, "queued")
        assert is_problem(client.post(f"/jobs/{failed[0]}/requeue", auth=ADMIN), 409)
        assert is_problem(client.post("/jobs/nope/requeue", auth=ADMIN), 404)

    def test_a_job_runs_again_as_another(self, client):
        job_id = add(client, x=41)

        answer = client.post(f"/jobs/{job_id}/rerun", auth=ADMIN)

        again = client.get(answer.location, auth=ADMIN).json
        assert (answer.status_code, again["payload"]["x"]) == (202, 41)
        assert again["id"] != job_id
        assert is_problem(client.post("/jobs/nope/rerun", auth=ADMIN), 404)


class TestFailures:
    def test_a_group_is_requeued(self, client, failed):
        job_id, group = failed

        answer = client.post(f"/failures/{group}/requeue", auth=ADMIN)

        assert answer.json == {"requeued": 1, "more": False, "refused": None}
        assert client.get(f"/jobs/{job_id}").json["status"] == "queued"

    def test_only_the_chosen_ones_are(self, client, failed):
        answer = client.post(f"/failures/{failed[1]}/requeue", json={"jobs": ["b"]}, auth=ADMIN)

        assert answer.json["requeued"] == 0
        assert is_problem(client.post("/failures/nope/requeue", auth=ADMIN), 404)

    def test_a_dismissed_group_comes_back_with_the_next_failure(self, client, failed, bucket):
        job_id, group = failed
        data = {"form_token": token_of(client, "/failures")}

        answer = client.post(f"/failures/{group}/dismiss", data=data, auth=ADMIN)

        assert (answer.status_code, answer.location) == (303, "/failures?dismissed=KeyError")
        page = client.get(answer.location, auth=ADMIN, headers=HTML).text
        assert "KeyError is dismissed" in page
        assert client.get("/failures", auth=ADMIN).json == {"failures": []}
        assert client.get(f"/jobs/{job_id}").json["status"] == "failed"
        assert is_problem(client.post(f"/failures/{group}/dismiss", auth=ADMIN), 404)

        bucket.enqueue("c" * 32)
        bucket.fail(bucket.claim(), error="KeyError: 'total'")
        [shown] = client.get("/failures", auth=ADMIN).json["failures"]
        assert (shown["id"], shown["count"]) == (group, 1)
        assert client.post(f"/failures/{group}/dismiss", auth=ADMIN).status_code == 204

    def test_the_page_shows_error_place_and_jobs(self, client, failed):
        page = client.get(f"/failures?group={failed[1]}", auth=ADMIN, headers=HTML)

        assert (page.status_code, page.headers["Vary"]) == (200, "Accept")
        for text in ("KeyError: &#39;total&#39;", failed[0][:8], "Requeue all"):
            assert text in page.text


class TestClients:
    def test_are_banned_and_let_in_again(self, client):
        assert client.put("/clients/192.0.2.1/ban", json={"for": "2h"}, auth=ADMIN).json["client"]
        [shown] = client.get("/clients", auth=ADMIN).json["clients"]
        assert shown["client"] == "192.0.2.1"
        assert shown["banned_until_at"]
        assert "Unban" in client.get("/clients", auth=ADMIN, headers=HTML).text

        assert client.delete("/clients/192.0.2.1/ban", auth=ADMIN).status_code == 204
        assert client.get("/clients", auth=ADMIN).json == {"clients": []}

    @pytest.mark.parametrize(
        ("client_name", "body"), [("nobody", None), ("192.0.2.1", {"for": "ever"})]
    )
    def test_what_is_no_client_or_duration_is_told(self, client, client_name, body):
        path = f"/clients/{client_name}/ban"

        assert is_problem(client.put(path, json=body, auth=ADMIN), 400)

    def test_a_ban_that_would_not_act_is_refused(self, client):
        answer = client.put("/clients/header:X-Other=1/ban", auth=ADMIN)

        assert is_problem(answer, 400)
        assert "would not act: no rule counts by header:x-other" in answer.json["detail"]
        assert client.get("/clients", auth=ADMIN).json == {"clients": []}

    def test_a_ban_by_a_header_that_a_rule_counts_by_acts(self, redis, settings, tmp_path):
        rule = {"limit": 9, "window": 60, "key": "header:X-API-Key", "match": "GET /types"}
        rules = tmp_path / "keyed.json"
        rules.write_text(json.dumps({"keyed": rule}))
        app = create_app(settings(admin_password="secret", rate_limits=rules))
        client = app.test_client()

        banned = client.put("/clients/header:X-API-Key=abc/ban", auth=ADMIN)

        assert banned.status_code == 200
        statuses = [
            client.get("/types", headers={"X-API-Key": key}).status_code for key in ("abc", "xyz")
        ]
        assert statuses == [429, 200]

    def test_by_form(self, client):
        data = {"client": "192.0.2.9", "for": "30m", "form_token": token_of(client, "/clients")}

        assert client.post("/clients/form", data=data, auth=ADMIN).status_code == 303
        assert len(client.get("/clients", auth=ADMIN).json["clients"]) == 1


class TestPageOfAJob:
    @pytest.mark.parametrize(
        ("accept", "is_page"),
        [
            (None, False), ("*/*", False), ("application/json", False), ("text/html", True),
            (HTML["Accept"], True), ("application/json, text/html;q=0.9", False),
            ("text/html;q=0.9, application/json;q=0.8", True), ("text/*", False),
            ("text/html;q=0", False),
            ("text/html, application/json", True), ("application/json, text/html", False),
            ("text/html, */*", True), ("*/*, text/html;q=0.9", False),
            ("text/html;q=0, application/json;q=0", False),
        ],
    )  # fmt: skip
    def test_browsers_get_a_page_and_programs_json(self, client, accept, is_page):
        job_id = add(client)

        answer = client.get(f"/jobs/{job_id}", headers={"Accept": accept} if accept else {})

        assert answer.mimetype == ("text/html" if is_page else "application/json")
        assert answer.headers["Vary"] == "Accept"
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Robots-Tag"] == "noindex"

    def test_shows_place_and_time_and_to_the_admin_the_payload(self, client):
        add(client)
        job_id = add(client, x=4711)

        stranger = client.get(f"/jobs/{job_id}", headers=HTML).text
        admin = client.get(f"/jobs/{job_id}", headers=HTML, auth=ADMIN).text

        assert "position 2 of 2" in stranger
        assert "4711" in admin
        assert "4711" not in stranger

    def test_whoever_has_the_id_may_cancel(self, client):
        job_id = add(client)

        answer = client.post(f"/jobs/{job_id}/cancel", data={"any": "form"})

        assert (answer.status_code, answer.location) == (303, f"/jobs/{job_id}")
        page = client.get(f"/jobs/{job_id}", headers=HTML).text
        assert "cancelled" in page

    def test_what_others_wrote_is_text(self, client, redis, bucket):
        attack = "<script>alert(1)</script>"
        bucket.enqueue("b" * 32)
        bucket.fail(bucket.claim(), error=f"{attack}: {attack}")
        redis.hset(keys.job("b" * 32), "spigot_progress", json.dumps({"done": 1, "note": attack}))

        for path in (f"/jobs/{'b' * 32}", "/failures", "/jobs", "/buckets/default"):
            assert attack not in client.get(path, auth=ADMIN, headers=HTML).text

    def test_where_there_are_no_jobs_the_page_says_how_to_send_one(self, client):
        page = client.get("/jobs", auth=ADMIN, headers=HTML).text
        assert "There are no jobs yet. The forms of" in page
        assert "0 of 0" in page

        add(client)

        page = client.get("/jobs?after=1000", auth=ADMIN, headers=HTML).text
        assert "No job fits." in page
        assert "1 of 1" in page

    def test_no_job_is_a_page_too(self, client):
        page = client.get("/jobs/nope", headers=HTML)

        assert (page.status_code, page.mimetype) == (404, "text/html")
