from base64 import b64encode

import pytest

from spigot import create_app
from spigot.jobs.bucket.configuring import BucketHistory
from spigot.jobs.store import keys
from tests.support.problem_check import is_problem


def test_all_buckets_are_shown_by_name(client):
    response = client.get("/buckets")

    assert response.status_code == 200
    assert [bucket["name"] for bucket in response.json["buckets"]] == ["default", "narrow"]
    assert response.json["buckets"][1] == {
        **client.get("/buckets/narrow").json,
        "next_leak_at": response.json["buckets"][1]["next_leak_at"],
    }


def test_a_bucket_shows_the_fields_of_the_interface(client):
    client.post("/jobs", json={"type": "shout", "payload": {"text": "hi"}})

    bucket = client.get("/buckets/narrow").json

    assert bucket.pop("next_leak_at")
    assert bucket.pop("sources")["rate"] == "file"
    assert bucket == {
        "name": "narrow",
        "rate": "60/m burst 3",
        "interval": 1.0,
        "burst": 3,
        "capacity": 2,
        "waiting": 1,
        "delayed": 0,
        "running": 0,
        "max_running": None,
        "workers": 0,
        "concurrency": 0,
        "budgets": {},
        "waits_for": None,
        "paused": False,
        "draining": False,
        "held_until": None,
        "hold_reason": None,
        "hold_kind": None,
        "probing": False,
    }


@pytest.mark.parametrize("name", ["other", "default:leases", "default-high", "%00", "Default"])
def test_a_bucket_that_does_not_exist_is_404(client, redis, name):
    redis.zadd(keys.leases("default"), {"token": 1})

    assert is_problem(client.get(f"/buckets/{name}"), 404)


class TestChange:
    @pytest.fixture
    def client(self, redis, shared_app):
        return shared_app(redis, admin_password="s3cret").test_client()

    @pytest.fixture
    def patch(self, client):
        basic = b64encode(b"admin:s3cret").decode()
        headers = {"Authorization": f"Basic {basic}"}
        return lambda name, **body: client.patch(f"/buckets/{name}", json=body, headers=headers)

    @pytest.mark.parametrize(
        ("body", "shown"),
        [
            ({"rate": "5/s burst 2"}, {"rate": "5/s burst 2", "interval": 0.2, "burst": 2}),
            ({"capacity": 7}, {"capacity": 7}),
            ({"max_running": 4}, {"max_running": 4}),
            ({"max_running": None}, {"max_running": None}),
            ({"paused": True}, {"paused": True, "next_leak_at": None}),
            ({"paused": False}, {"paused": False}),
            ({"rate": "1/m", "capacity": 1}, {"rate": "1/m", "capacity": 1}),
            ({}, {}),
        ],
    )
    def test_is_answered_with_the_bucket(self, client, patch, body, shown):
        response = patch("default", **body)

        assert response.status_code == 200
        assert shown.items() <= response.json.items()
        assert shown.items() <= client.get("/buckets/default").json.items()

    def test_touches_no_other_field(self, client, patch):
        before = client.get("/buckets/narrow").json

        patch("narrow", capacity=9)

        after = client.get("/buckets/narrow").json
        assert {name for name in after if after[name] != before[name]} <= {
            "capacity",
            "sources",
            "next_leak_at",
        }

    def test_says_who_did_it(self, redis, patch):
        patch("default", capacity=9)

        record = BucketHistory(redis).read("default")[0]
        assert (record["by"], record["changes"]) == ("admin at 127.0.0.1", {"capacity": ["3", "9"]})

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"rate": "fast"}, "rate"),
            ({"rate": None}, "rate"),
            ({"capacity": 0}, "capacity"),
            ({"capacity": None}, "capacity"),
            ({"max_running": -1}, "max_running"),
            ({"paused": "perhaps"}, "paused"),
            ({"workers": 3}, "workers"),
            ({"held_until": "2026-01-01T00:00:00Z"}, "held_until"),
            ({"held_until": 0}, "held_until"),
            ({"held_until": ""}, "held_until"),
        ],
    )
    def test_that_is_not_valid_changes_nothing(self, client, patch, body, field):
        before = client.get("/buckets/default").json

        response = (
            patch("default", capacity=9, **body)
            if field != "capacity"
            else patch("default", **body)
        )

        assert is_problem(response, 422)
        assert [error["field"] for error in response.json["errors"]] == [field]
        after = client.get("/buckets/default").json
        assert {**after, "next_leak_at": ""} == {**before, "next_leak_at": ""}

    def test_behind_a_trusted_proxy_names_the_client(self, redis, settings):
        client = create_app(
            settings(admin_password="s3cret", trusted_proxies="127.0.0.1")
        ).test_client()

        client.patch(
            "/buckets/default",
            json={"capacity": 9},
            auth=("admin", "s3cret"),
            headers={"X-Forwarded-For": "203.0.113.9:5001"},
        )

        assert BucketHistory(redis).read("default")[0]["by"] == "admin at 203.0.113.9"

    def test_ends_a_hold(self, redis, patch):
        redis.hset(keys.bucket("default"), mapping={"held_until_us": 2**52, "hold_reason": "wait"})

        response = patch("default", held_until=None, capacity=9)

        assert response.status_code == 200
        assert (response.json["held_until"], response.json["capacity"]) == (None, 9)
        records = BucketHistory(redis).read("default")
        assert [list(record["changes"]) for record in records] == [["held_until"], ["capacity"]]

    def test_of_a_hold_says_what_can_be_done(self, patch):
        (error,) = patch("default", held_until="2026-01-01T00:00:00Z").json["errors"]

        assert "only null can be said, which ends a hold" in str(error)

    def test_of_no_bucket_is_404(self, redis, patch):
        assert is_problem(patch("other", capacity=9), 404)
        assert is_problem(patch("other"), 404)
        assert not redis.exists(keys.bucket("other"))

    def test_is_for_the_admin_only(self, client):
        assert is_problem(client.patch("/buckets/default", json={"paused": True}), 401)
        assert client.get("/buckets/default").json["paused"] is False

    def test_is_not_there_without_an_admin(self, redis, settings):
        client = create_app(settings()).test_client()

        assert is_problem(client.patch("/buckets/default", json={"paused": True}), 404)
