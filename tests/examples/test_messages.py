import json

import pytest

from spigot import create_app
from spigot.examples.messages import Message, process_message
from spigot.jobs.store import keys
from spigot.runtime.settings import load_settings
from tests.support.problem_check import is_problem
from tests.support.redis_content import content

MESSAGE = {
    "id": 1,
    "job_priority": 1,
    "job_type": 2,
    "job_publisher": "mobile_app",
    "data": "this is my message from mobile app",
}


@pytest.fixture
def client(redis, redis_url, tmp_path):
    buckets = tmp_path / "buckets.json"
    buckets.write_text('{"default": {"capacity": 3}}')
    settings = load_settings(
        redis_url=redis_url, apps=("spigot.examples.messages",), buckets=buckets
    )
    return create_app(settings).test_client()


def test_a_message_is_taken_in_at_once(client):
    response = client.post("/enqueue", json=MESSAGE)

    assert response.status_code == 202
    assert (response.json["type"], response.json["status"]) == ("message", "queued")
    assert client.get(response.headers["Location"]).json["position"] == 1


@pytest.mark.parametrize(
    ("job_priority", "priority"),
    [(1, "high"), (2, "default"), (3, "low"), (4, "low"), (10**20, "low")],
)
def test_its_priority_chooses_the_queue(client, job_priority, priority):
    response = client.post("/enqueue", json={**MESSAGE, "job_priority": job_priority})

    assert response.json["priority"] == priority


def test_the_result_log_will_show_it_whole(client, redis):
    job_id = client.post("/enqueue", json=MESSAGE).json["id"]

    assert json.loads(redis.hget(keys.job(job_id), "spigot_log")) == MESSAGE


def test_a_message_more_than_the_queue_holds_is_refused(client):
    for number in range(3):
        assert client.post("/enqueue", json={**MESSAGE, "id": number}).status_code == 202

    response = client.post("/enqueue", json=MESSAGE)

    assert is_problem(response, 503)
    assert int(response.headers["Retry-After"]) >= 1


@pytest.mark.parametrize("field", MESSAGE)
@pytest.mark.parametrize("value", [None, [], {}, True, 1.5])
def test_a_wrong_field_is_named(client, redis, field, value):
    before = content(redis)

    response = client.post("/enqueue", json={**MESSAGE, field: value})

    assert is_problem(response, 422)
    assert [error["field"] for error in response.json["errors"]] == [field]
    assert content(redis) == before


@pytest.mark.parametrize("field", MESSAGE)
def test_a_missing_field_is_named(client, field):
    message = {name: value for name, value in MESSAGE.items() if name != field}

    response = client.post("/enqueue", json=message)

    assert is_problem(response, 422)
    assert response.json["errors"] == [{"field": field, "problem": "Field required"}]


@pytest.mark.parametrize("job_priority", [0, -1])
def test_a_priority_below_1_is_refused(client, job_priority):
    assert is_problem(client.post("/enqueue", json={**MESSAGE, "job_priority": job_priority}), 422)


def test_processing_says_what_was_done():
    assert process_message(Message(**MESSAGE)) == "processed message 1 from mobile_app"
