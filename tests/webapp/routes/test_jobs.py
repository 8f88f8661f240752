import json
from io import BytesIO

import pytest

from spigot.jobs.store import keys
from tests.support.problem_check import is_problem
from tests.support.redis_content import content

ADD = {"type": "add", "payload": {"x": 1}}
SECRET = {"type": "purge", "payload": {"days": 1}}
BOMB = b"[" * 100_000 + b"]" * 100_000


class TestSubmitting:
    def test_answers_202_with_the_job_and_where_it_is(self, client):
        response = client.post("/jobs", json=ADD)

        assert response.status_code == 202
        assert response.mimetype == "application/json"
        assert response.json["type"] == "add"
        assert response.json["status"] == "queued"
        assert response.json["position"] == 1
        assert response.headers["Location"] == f"/jobs/{response.json['id']}"
        assert client.get(response.headers["Location"]).json["id"] == response.json["id"]

    def test_shows_the_fields_in_the_order_of_the_interface(self, client):
        assert list(client.post("/jobs", json=ADD).json)[:3] == ["id", "type", "status"]

    @pytest.mark.parametrize("priority", ["high", "default", "low"])
    def test_takes_a_priority(self, client, priority):
        response = client.post("/jobs", json={**ADD, "priority": priority})

        assert response.json["priority"] == priority

    def test_an_absent_payload_is_an_empty_one(self, client):
        response = client.post("/jobs", json={"type": "add"})

        assert is_problem(response, 422)
        assert response.json["errors"] == [{"field": "x", "problem": "Field required"}]

    def test_takes_a_charset_that_says_utf_8(self, client):
        response = client.post(
            "/jobs",
            data='{"type": "shout", "payload": {"text": "ü"}}'.encode(),
            headers={"Content-Type": "application/json; charset=UTF-8"},
        )

        assert response.status_code == 202

    def test_keeps_a_number_over_64_bits(self, client):
        response = client.post("/jobs", json={"type": "add", "payload": {"x": 2**70}})

        assert response.status_code == 202

    @pytest.mark.parametrize("text", ["\u0000", "<script>", "ü", "😀", "\u2028", "a\nb"])
    def test_takes_any_text(self, client, text):
        response = client.post("/jobs", json={"type": "shout", "payload": {"text": text}})

        assert response.status_code == 202


class TestAFullBucket:
    def test_is_answered_with_the_time_until_a_place_is_free(self, client, redis):
        for _ in range(3):
            client.post("/jobs", json=ADD)
        redis.hset(keys.bucket("default"), "held_until_us", (int(redis.time()[0]) + 30) * 10**6)
        before = content(redis)

        response = client.post("/jobs", json=ADD)

        assert is_problem(response, 503)
        assert 25 <= int(response.headers["Retry-After"]) <= 30
        assert response.json["bucket"] == "default"
        assert "bucket 'default' is full" in response.json["detail"]
        assert content(redis) == before

    def test_is_worth_a_new_try_after_a_second_at_the_earliest(self, client):
        for _ in range(3):
            client.post("/jobs", json=ADD)

        assert client.post("/jobs", json=ADD).headers["Retry-After"] == "1"

    def test_that_is_paused_gives_a_minute(self, client, redis):
        redis.hset(keys.bucket("default"), "paused", 1)
        for _ in range(3):
            assert client.post("/jobs", json=ADD).status_code == 202

        assert client.post("/jobs", json=ADD).headers["Retry-After"] == "60"

    def test_that_is_drained_takes_none(self, client, redis):
        redis.hset(keys.bucket("default"), "draining", 1)

        response = client.post("/jobs", json=ADD)

        assert is_problem(response, 503)
        assert response.headers["Retry-After"] == "60"
        assert "drained" in response.json["detail"]


def test_a_body_that_is_said_not_to_be_compressed_is_accepted(client):
    headers = {"Content-Encoding": "Identity"}

    assert client.post("/jobs", json=ADD, headers=headers).status_code == 202


class TestBadInput:
    @pytest.fixture(autouse=True)
    def nothing_changes(self, client, redis):
        before = content(redis)
        yield
        assert content(redis) == before

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"{",
            b"add",
            b'{"type": "add"} x',
            b'{"type": "add",}',
            b'{"type": NaN}',
            b'{"type": "add", "payload": {"x": Infinity}}',
            b'{"type": "\xff"}',
            b'{"type": "\\ud800"}',
            b'\xef\xbb\xbf{"type": "add"}',
            '{"type": "add"}'.encode("utf-16"),
            b'{"type": "a\nb"}',
            b'{"type": "add", "payload": {"x": ' + BOMB + b"}}",
            b'{"type": "add", "payload": {"x": ' + b"1" * 10_000 + b"}}",
        ],
        ids=range(14),
    )
    def test_what_is_not_json_is_400(self, client, body):
        response = client.post("/jobs", data=body, content_type="application/json")

        assert is_problem(response, 400)
        assert "the body is not JSON" in response.json["detail"]

    @pytest.mark.parametrize(
        "content_type",
        [
            None,
            "",
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonx",
            "application/json, text/plain",
            "application/json; charset=utf-16",
            "application/json; charset=latin-1",
            ";",
            "json",
        ],
    )
    def test_another_content_type_is_415(self, client, content_type):
        response = client.post("/jobs", data=b'{"type": "add"}', content_type=content_type)

        assert is_problem(response, 415)
        assert "Content-Type: application/json" in response.json["detail"]

    @pytest.mark.parametrize("coding", ["gzip", "br, gzip", "nonsense" * 100])
    def test_a_compressed_body_is_415(self, client, coding):
        response = client.post("/jobs", json=ADD, headers={"Content-Encoding": coding})

        assert is_problem(response, 415)
        assert "is compressed (Content-Encoding: " in response.json["detail"]
        assert len(response.json["detail"]) < 100

    @pytest.mark.parametrize(
        ("body", "field", "problem"),
        [
            ([], "body", "should be an object"),
            ("add", "body", "should be an object"),
            (None, "body", "should be an object"),
            ({}, "type", "required"),
            ({"type": 5}, "type", "valid string"),
            ({"type": None}, "type", "valid string"),
            ({"type": "x" * 201}, "type", "at most 200"),
            ({**ADD, "priority": "urgent"}, "priority", "'high', 'default' or 'low'"),
            ({**ADD, "priority": 1}, "priority", "'high', 'default' or 'low'"),
            ({**ADD, "payload": []}, "payload", "should be an object"),
            ({**ADD, "payload": None}, "payload", "should be an object"),
            ({**ADD, "prioritty": "high"}, "prioritty", "not permitted"),
            ({"type": "add", "payload": {"x": "many"}}, "x", "valid integer"),
            ({"type": "add", "payload": {"x": 1, "z": 1}}, "z", "not permitted"),
            ({"type": "add", "payload": {"x": 1.5}}, "x", "valid integer"),
            ({"type": "add", "payload": {"x": [[1]]}}, "x", "valid integer"),
            ({"type": "shout", "payload": {"text": None}}, "text", "valid string"),
        ],
    )
    def test_a_wrong_field_is_422_and_named(self, client, body, field, problem):
        response = client.post("/jobs", data=json.dumps(body), content_type="application/json")

        assert is_problem(response, 422)
        assert [error["field"] for error in response.json["errors"]] == [field]
        assert problem in response.json["errors"][0]["problem"]
        assert field in response.json["detail"]

    def test_a_number_beyond_all_bounds_is_422(self, client):
        response = client.post(
            "/jobs",
            data=b'{"type": "order", "payload": {"from": "a", "amount": 1e999}}',
            content_type="application/json",
        )

        assert is_problem(response, 422)

    @pytest.mark.parametrize("name", ["subtract", "", "os.system", "\u0000", "<script>"])
    def test_an_unknown_type_is_422_and_lists_the_known(self, client, name):
        response = client.post("/jobs", json={"type": name, "payload": {}})

        assert is_problem(response, 422)
        assert response.json["known"] == ["add", "order", "shout"]
        assert "add, order, shout" in response.json["detail"]

    @pytest.mark.parametrize("chunked", [False, True])
    @pytest.mark.parametrize(
        ("size", "status"), [(262_144, 422), (262_145, 413), (262_146, 413), (2_000_000, 413)]
    )
    def test_a_body_over_256_kib_is_413(self, client, size, status, chunked):
        body = b"{" + b" " * (size - 2) + b"}"
        environ = {"wsgi.input_terminated": True}
        if chunked:
            environ |= {"wsgi.input": BytesIO(body), "HTTP_TRANSFER_ENCODING": "chunked"}

        response = client.post(
            "/jobs",
            data=None if chunked else body,
            content_type="application/json",
            environ_overrides=environ,
        )

        assert is_problem(response, status)
        if status == 413:
            assert response.json["detail"] == "the body is larger than 262144 bytes"

    @pytest.mark.parametrize("method", ["put", "patch", "delete"])
    def test_another_method_is_405_and_says_what_is_allowed(self, client, method):
        response = getattr(client, method)("/jobs")

        assert is_problem(response, 405)
        assert "POST" in response.headers["Allow"]


class TestShowing:
    def test_a_job_that_does_not_exist_is_404(self, client):
        assert is_problem(client.get("/jobs/0123456789abcdef"), 404)

    @pytest.mark.parametrize("name", ["dependents", "dependencies"])
    def test_what_rq_keeps_beside_a_job_is_404(self, client, redis, name):
        job_id = client.post("/jobs", json=ADD).json["id"]
        redis.sadd(f"rq:job:{job_id}:{name}", "x")

        assert is_problem(client.get(f"/jobs/{job_id}:{name}"), 404)

    @pytest.mark.parametrize("path", ["/jobs/%00", "/jobs/%ff", "/jobs/a%0Ab", "/jobs/..%2fx"])
    def test_odd_ids_are_404(self, client, path):
        assert is_problem(client.get(path), 404)

    def test_a_job_shows_what_came_of_it(self, client, redis):
        job_id = client.post("/jobs", json=ADD).json["id"]
        redis.hset(keys.job(job_id), mapping={"status": "failed", "spigot_error": "KeyError: 'a'"})

        assert client.get(f"/jobs/{job_id}").json["error"] == "KeyError: 'a'"


class TestTheHelperForApplications:
    def test_answers_like_the_jobs_route(self, client):
        response = client.post("/shout/hi")

        assert response.status_code == 202
        assert (response.json["type"], response.json["priority"]) == ("shout", "low")
        assert response.headers["Location"] == f"/jobs/{response.json['id']}"

    def test_refuses_like_the_jobs_route(self, client):
        client.post("/shout/hi")
        client.post("/shout/hi")

        response = client.post("/shout/hi")

        assert is_problem(response, 503)
        assert response.headers["Retry-After"] == "1"


class TestInternalTypes:
    def test_a_client_is_answered_as_if_there_were_none(self, client, redis):
        response = client.post("/jobs", json=SECRET)
        unknown = client.post("/jobs", json=SECRET | {"type": "purgé"})

        assert is_problem(response, 422)
        assert response.json == json.loads(unknown.get_data(as_text=True).replace("\\u00e9", "e"))
        assert "purge" not in response.json["known"]
        assert redis.keys("rq:*") == []

    @pytest.mark.parametrize("payload", [{}, {"days": "x"}, {"other": 1}])
    def test_nor_is_its_payload_looked_at(self, client, payload):
        response = client.post("/jobs", json={"type": "purge", "payload": payload})

        assert response.json["type"] == "urn:spigot:problem:unknown-job-type"

    def test_a_view_may_enqueue_it(self, client):
        assert client.post("/purge").json["type"] == "purge"

    def test_whoever_has_its_id_sees_its_job(self, client):
        job_id = client.post("/purge").json["id"]

        assert client.get(f"/jobs/{job_id}").json["type"] == "purge"
