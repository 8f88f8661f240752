"""The web shows a bucket of a newer version, and takes no job for it."""

import pytest

from spigot import create_app
from spigot.jobs.store import keys
from tests.support.problem_check import is_problem

ADMIN = ("admin", "secret")
LINE = "bucket 'default' was written by a newer version of Spigot (schema 2): upgrade this one"
ADD = {"type": "add", "payload": {"x": 1}}


@pytest.fixture
def client(redis, settings):
    numbers = settings(admin_password="secret")
    create_app(numbers)
    redis.hset(keys.bucket("default"), "schema", 2)
    return create_app(numbers).test_client()


def test_a_new_job_is_refused(client):
    response = client.post("/jobs", json=ADD)

    assert is_problem(response, 503)
    assert response.json["detail"] == LINE
    assert int(response.headers["Retry-After"]) > 0


def test_a_number_is_not_set(client):
    response = client.patch("/buckets/default", json={"capacity": 9}, auth=ADMIN)

    assert is_problem(response, 503)
    assert response.json["detail"] == LINE


def test_the_bucket_is_shown(client):
    assert client.get("/buckets/default").json["rate"] == "10/s"
    assert [bucket["name"] for bucket in client.get("/buckets").json["buckets"]] == [
        "default",
        "narrow",
    ]


def test_another_bucket_takes_jobs(client):
    assert client.post("/shout/hi").status_code == 202


def test_the_web_starts_and_says_why_it_takes_none(client, caplog):
    said = [record.getMessage() for record in caplog.get_records("setup")]

    assert sum(LINE in text for text in said) == 1
