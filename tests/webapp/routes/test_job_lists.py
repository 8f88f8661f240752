import json

import pytest

from spigot import create_app
from spigot.jobs.store import keys
from tests.support.problem_check import is_problem

KEY = {"Idempotency-Key": "import-4711"}


def add(number: object) -> dict[str, object]:
    return {"type": "add", "payload": {"x": number}}


def test_each_job_is_answered_as_it_would_be_alone(client, redis):
    response = client.post(
        "/jobs", json=[add(1), add("many"), {"type": "none"}, 7, add(2), add(3), add(4)]
    )

    answers = response.json
    assert response.status_code == 207
    assert [answer["status"] for answer in answers] == [202, 422, 422, 422, 202, 202, 503]
    first, wrong, unknown, _, *_, full = answers
    assert first["headers"] == {"Location": f"/jobs/{first['body']['id']}"}
    assert wrong["body"]["errors"][0]["field"] == "x"
    assert unknown["body"]["type"] == "urn:spigot:problem:unknown-job-type"
    assert int(full["headers"]["Retry-After"]) >= 1
    ids = [answers[index]["body"]["id"].encode() for index in (0, 4, 5)]
    assert redis.lrange(keys.queue("default"), 0, -1) == ids


def test_a_list_that_was_cut_off_is_sent_again_with_its_key(client, redis):
    first = client.post("/jobs", json=[add(1), add(2)], headers=KEY).json

    again = client.post("/jobs", json=[add(1), add(9), add(3)], headers=KEY).json

    assert [answer["status"] for answer in again] == [200, 409, 202]
    assert again[0]["body"]["id"] == first[0]["body"]["id"]
    assert redis.llen(keys.queue("default")) == 3


def test_more_than_a_thousand_are_413(client, redis):
    is_problem(client.post("/jobs", json=[add(1)] * 1001), 413)

    assert not redis.exists(keys.queue("default"))


class TestAtTheDoor:
    @pytest.fixture
    def client(self, redis, settings):
        rule = {"limit": 5, "window": 60, "match": "POST /jobs"}
        given = settings()
        given.rate_limits.write_text(json.dumps({"jobs": rule}))
        return create_app(given).test_client()

    def test_a_list_counts_as_its_jobs_all_or_nothing(self, client, redis):
        assert client.post("/jobs", json=[add(1), add(2)]).status_code == 207

        refused = client.post("/jobs", json=[add(n) for n in range(4)])

        is_problem(refused, 429)
        assert redis.llen(keys.queue("default")) == 2
        assert client.post("/jobs", json=[add(3)] * 3).status_code == 207
        is_problem(client.post("/jobs", json=add(4)), 429)

    def test_one_that_no_quota_admits_says_so(self, client):
        refused = client.post("/jobs", json=[add(n) for n in range(6)])

        is_problem(refused, 429)
        assert "send it in parts" in refused.json["detail"]
